"""Weights files: safetensors, with the parameters and the data of the training as metadata."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors import torch as safetensors
from torch import Tensor, nn

from petseg.config.training import Training
from petseg.runtime.errors import PetsegError
from petseg.runtime.files import atomic_file

_KEY = "petseg"  # a single metadata entry: safetensors writes several in random order


def save(path: str | Path, state: dict[str, Tensor], training: Training, data_sha256: str) -> None:
    """Writes a network's state dict. Equal arguments give equal bytes.

    Args:
        state: from `nn.Module.state_dict` or `snapshot`.
        training: the parameters of the training.
        data_sha256: of its data, see `petseg.data.fingerprint`.

    Raises:
        PetsegError: the disk is full; an older file stays as it was.
    """
    metadata = json.dumps({"training": training.flat(), "data_sha256": data_sha256}, sort_keys=True)
    content = safetensors.save({name: tensor.contiguous() for name, tensor in state.items()}, {_KEY: metadata})
    with atomic_file(path) as part:
        part.write_bytes(content)  # safetensors.save_file would hide a full disk and ignore the umask


def load(path: str | Path, network: nn.Module, training: Training, data_sha256: str) -> None:
    """Loads weights into `network` if they were trained with exactly these parameters and this data.

    Raises:
        PetsegError: the file is missing, damaged or not from `save`; or its parameters, data or state dict differ.
    """
    retrain = f"run `dvc repro train_{training.network}`"
    if not Path(path).exists():
        raise PetsegError(f"{path} does not exist; {retrain}.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {})[_KEY])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is not a dict
        trained_with, trained_on = dict(metadata["training"]), metadata["data_sha256"]
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        raise PetsegError(f"{path} was not written by petseg, or is damaged; remove it and {retrain}.") from None
    for key, value in training.flat().items():
        if trained_with.get(key) != value:
            raise PetsegError(
                f"{path} was trained with {key} {trained_with.get(key)}, params.yaml says {value}; {retrain}."
            )
    if trained_on != data_sha256:
        raise PetsegError(f"{path} was trained on other data than data/packed now holds; {retrain}.")
    try:
        network.load_state_dict(state)
    except RuntimeError:
        raise PetsegError(f"{path} does not fit the present code of {training.network}; {retrain}.") from None


def snapshot(network: nn.Module) -> dict[str, Tensor]:
    """A copy of a network's state dict, on the same device; does not wait for the device."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
