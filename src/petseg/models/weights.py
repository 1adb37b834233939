"""Weights files: safetensors, with everything that using the network needs as metadata.

They are never pickled, so loading one runs no code.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors import torch as safetensors
from torch import Tensor, nn

from petseg import models
from petseg.config.networks import NETWORKS
from petseg.config.training import Training
from petseg.models.blocks import Normalize
from petseg.runtime.errors import PetsegError
from petseg.runtime.files import atomic_file

FORMAT = 1  # of the metadata; raise it when a network of the same parameters computes something else
_KEY = "petseg"  # a single metadata entry: safetensors writes several in random order
ANOTHER = "train the network with `dvc repro`, or name another file"
_PICKLES = (b"PK\x03\x04", b"\x80")  # first bytes of what torch.save writes: a zip archive, or (old) a pickle


@dataclass(frozen=True)
class Record:
    """What is known about trained weights.

    Attributes:
        training: parameters of the training, from `Training.flat`: architecture, image size, precision and so on.
        data_sha256: of the packed data, see `petseg.data.fingerprint`.
        start_sha256: of the weights file that the network or its encoder started from; None for random weights.
        temperature: of the network's logits, see `petseg.evaluation.calibration`.
        valid_dice: Dice of these weights on the validation split.
        commit: git commit that last changed the code, with `-dirty` if files differed from it, or `unknown`.
    """

    training: dict[str, Any]
    data_sha256: str
    start_sha256: str | None
    temperature: float
    valid_dice: float
    commit: str

    @property
    def network(self) -> str:
        """Key of `NETWORKS`."""
        return self.training["network"]

    @property
    def label(self) -> str:
        """The network's name for people."""
        return NETWORKS[self.network].label

    @property
    def image_size(self) -> int:
        """Height and width of the input, pixels."""
        return self.training["image_size"]

    @property
    def precision(self) -> str:
        """Of convolutions: fp32 or bf16."""
        return self.training["precision"]

    @property
    def architecture(self) -> dict[str, Any]:
        """As from `NetworkParams.architecture`."""
        return {key: self.training[key] for key in NETWORKS[self.network].params.architecture_keys()}


def save(path: str | Path, state: dict[str, Tensor], record: Record) -> None:
    """Writes a network's state dict. Equal arguments give equal bytes.

    Args:
        state: from `nn.Module.state_dict` or `snapshot`.

    Raises:
        PetsegError: the disk is full; an older file stays as it was.
    """
    metadata = json.dumps({"format": FORMAT} | vars(record), sort_keys=True)
    content = safetensors.save({name: tensor.contiguous() for name, tensor in state.items()}, {_KEY: metadata})
    with atomic_file(path) as part:
        part.write_bytes(content)  # safetensors.save_file would hide a full disk and ignore the umask


def load(path: str | Path) -> tuple[nn.Module, Record]:
    """Builds the network of a weights file, in eval mode on the CPU; needs neither params.yaml nor data.

    Raises:
        PetsegError: see `read`; or the weights do not fit the network.
    """
    state, record = read(path)
    network = models.construct(record.network, record.architecture)
    _load_state(network, state, path, ANOTHER)
    return network.eval(), record


def read(path: str | Path, remedy: str = ANOTHER) -> tuple[dict[str, Tensor], Record]:
    """Reads a weights file: state dict and record.

    Args:
        remedy: what an error message advises.

    Raises:
        PetsegError: the file is missing, damaged, not from `save`, or from another version of petseg.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(9)
    except OSError as error:
        raise PetsegError(f"{path} cannot be read ({error.strerror}); {remedy}.") from None
    if head.startswith(_PICKLES) and head[8:] != b"{":  # a safetensors file: length of its header, then JSON
        raise PetsegError(
            f"{path} is a pickle, as torch.save writes it, which can run any code when it is loaded; petseg only reads "
            "the .safetensors files that its trainings write."
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {})[_KEY])
            if metadata.pop("format", None) != FORMAT or metadata["training"]["network"] not in NETWORKS:
                raise PetsegError(f"{path} was written by another version of petseg; {remedy}.")
            record = Record(**metadata)
            record.architecture  # noqa: B018, raises KeyError
            return {name: file.get_tensor(name) for name in file.keys()}, record  # noqa: SIM118, it is not a dict
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        raise PetsegError(f"{path} was not written by petseg, or is damaged; {remedy}.") from None


def load_trained(path: str | Path, network: nn.Module, training: Training, data_sha256: str) -> Record:
    """Loads weights into `network` if they were trained with exactly these parameters and this data.

    Raises:
        PetsegError: see `read`; or parameters, data or state dict differ.
    """
    retrain = f"run `dvc repro train_{training.network}`"
    state, record = read(path, retrain)
    for key, value in training.flat().items():
        if record.training.get(key) != value:
            was = record.training.get(key)
            raise PetsegError(f"{path} was trained with {key} {was}, params.yaml says {value}; {retrain}.")
    if record.data_sha256 != data_sha256:
        raise PetsegError(f"{path} was trained on other data than data/packed now holds; {retrain}.")
    _load_state(network, state, path, retrain)
    return record


def load_start(network: nn.Module, training: Training) -> str | None:
    """Loads the initial weights that `training.start` names; the network keeps its own normalization.

    Returns:
        SHA-256 of the file, 64 hex digits; None if `start` is None, and `network` keeps its random weights.

    Raises:
        PetsegError: see `read`; or a layer differs; or the training would overwrite the file.
    """
    path, key = training.start, f"{training.network}.start"
    if path is None:
        return None
    if Path(path).resolve() == output(training.network).resolve():
        raise PetsegError(f"{key} is {path}, which DVC deletes when this training starts; copy it to another name.")
    remedy = f"correct {key}, or set it to null"
    state, _ = read(path, remedy)
    for name, module in network.named_modules():
        if isinstance(module, Normalize):
            state |= {f"{name}.{buffer}": value for buffer, value in module.state_dict().items()}
    _load_state(network, state, path, remedy)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def output(network: str) -> Path:
    """Where the training of a network writes its weights."""
    return Path("models") / f"{network}.safetensors"


def _load_state(network: nn.Module, state: dict[str, Tensor], path: str | Path, remedy: str) -> None:
    """Loads a state dict; raises PetsegError that names the first tensor whose shape differs."""
    needed = network.state_dict()
    for name in [*needed, *state]:
        here, there = (list(each[name].shape) if name in each else "missing" for each in (needed, state))
        if here != there:
            raise PetsegError(
                f"{path} does not fit this network: {name} is {there} in the file and {here} in the network; {remedy}."
            )
    network.load_state_dict(state)


def snapshot(network: nn.Module) -> dict[str, Tensor]:
    """A copy of a network's state dict, on the same device; does not wait for the device."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
