"""Weights of torchvision's ResNet-34 for the encoder of ResNet34-UNet, such as those trained on ImageNet."""

import hashlib
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from petseg.config.training import Training
from petseg.runtime.download import cache_folder
from petseg.runtime.errors import PetsegError

IMAGENET = "imagenet"


def load_encoder(network: nn.Module, training: Training) -> str | None:
    """Loads the weights that `training.encoder` names into the stem and the stages of a ResNet34UNet of width 64.

    Args:
        network: has the layers of torchvision's ResNet-34 in `stem` and `encoder`, see `ResNet34UNetParams`.

    Returns:
        SHA-256 of the file, 64 hex digits; None if `encoder` is None, and `network` keeps its random weights.

    Raises:
        PetsegError: the file is missing, damaged, or of another network; or the download failed.
    """
    if training.encoder is None:
        return None
    path = _imagenet() if training.encoder == IMAGENET else Path(training.encoder)
    state = network.state_dict()
    ours = [name for name in state if name.startswith(("stem.", "encoder."))]
    theirs = _resnet34(path)
    network.load_state_dict(state | dict(zip(ours, theirs, strict=True)))
    return _sha256(path)


def _imagenet() -> Path:
    """The file of torchvision's weights IMAGENET1K_V1, downloaded into the cache if it is not there.

    Its name ends in the first 8 digits of its SHA-256, which are checked.
    """
    from torchvision.models import ResNet34_Weights  # takes a second, and most trainings need none

    weights = ResNet34_Weights.IMAGENET1K_V1
    path = cache_folder() / weights.url.rpartition("/")[2]
    cure = f"download {weights.url} on another machine, and put it there as {path}"
    if not path.is_file():
        print(f"{path.name}: downloading 87 MB of ImageNet weights to {path.parent}", flush=True)
        try:
            weights.get_state_dict(progress=False, check_hash=True, model_dir=str(path.parent), file_name=path.name)
        except (OSError, RuntimeError) as error:  # RuntimeError: wrong hash
            raise PetsegError(f"{path.name} could not be downloaded ({error}); {cure}.") from None
    if not _sha256(path).startswith(digits := path.stem.rpartition("-")[2]):
        raise PetsegError(f"{path} is damaged, its SHA-256 does not begin with {digits}; delete it, or {cure}.")
    return path


def _resnet34(path: Path) -> list[Tensor]:
    """The tensors of a weights file of torchvision's ResNet-34, without the classifier, in the order of its layers."""
    from torchvision.models import resnet34

    network = resnet34()
    state = {name: tensor for name, tensor in _read(path).items() if not name.startswith("fc.")}
    classifier = {name: tensor for name, tensor in network.state_dict().items() if name.startswith("fc.")}
    try:
        network.load_state_dict(state | classifier)
    except RuntimeError as error:  # names every missing and every surplus tensor
        reason = str(error).splitlines()[1].strip()
        raise PetsegError(
            f"{path} does not hold weights of torchvision's ResNet-34 ({reason}); correct resnet34_unet.encoder, or "
            "set it to null."
        ) from None
    return [tensor for name, tensor in network.state_dict().items() if not name.startswith("fc.")]


def _read(path: Path) -> dict[str, Any]:
    """The state dict in a file of torch.save or safetensors; loading it runs no code."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        reason = "does not exist"
    except (SafetensorError, OSError, RuntimeError, ValueError, TypeError, EOFError, UnpicklingError):
        reason = "is not a state dict that torch.save or safetensors wrote"
    raise PetsegError(f"{path} {reason}; correct resnet34_unet.encoder, or set it to null.")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
