"""Weights on disk: a safetensors file that carries what made it."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors import torch as safetensors
from torch import Tensor, nn

from petseg.config.training import Training
from petseg.runtime.errors import PetsegError
from petseg.runtime.files import atomic_file

_KEY = "petseg"  # one metadata entry: safetensors writes several in a random order


def save(path: str | Path, state: dict[str, Tensor], training: Training, data_sha256: str) -> None:
    """Writes a network's state with the parameters and the data that made it. Equal input gives equal bytes."""
    made_by = json.dumps({"training": training.flat(), "data_sha256": data_sha256}, sort_keys=True)
    content = safetensors.save({name: tensor.contiguous() for name, tensor in state.items()}, {_KEY: made_by})
    with atomic_file(path) as part:
        part.write_bytes(content)  # not safetensors' save_file: it hides that a disk is full, and narrows the rights


def load(path: str | Path, network: nn.Module, training: Training, data_sha256: str) -> None:
    """Reads weights into `network`.

    Raises:
        PetsegError: the file is missing, is not ours, or was made by other parameters, data or another network code.
    """
    retrain = f"run `dvc repro train_{training.network}`"
    if not Path(path).exists():
        raise PetsegError(f"{path} does not exist; {retrain}.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {})[_KEY])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dictionary
        was, is_now = metadata["training"], training.flat()
        made_from = metadata["data_sha256"]
        if not isinstance(was, dict):
            raise TypeError
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        raise PetsegError(f"{path} was not written by petseg, or is damaged; remove it and {retrain}.") from None
    for key, value in is_now.items():
        if was.get(key) != value:
            raise PetsegError(f"{path} was trained with {key} {was.get(key)}, params.yaml says {value}; {retrain}.")
    if made_from != data_sha256:
        raise PetsegError(f"{path} was trained on other data than data/packed now holds; {retrain}.")
    try:
        network.load_state_dict(state)
    except RuntimeError:
        raise PetsegError(f"{path} does not fit the network's code any more; {retrain}.") from None


def snapshot(network: nn.Module) -> dict[str, Tensor]:
    """A copy of a network's state on its device, which further training does not touch; does not wait for it."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
