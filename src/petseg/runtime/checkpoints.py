"""Numbered, checksummed checkpoint files of one training."""

import contextlib
import hashlib
import io
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import torch

from petseg.runtime import machine
from petseg.runtime.files import atomic_file

_KEPT = 2  # the newest, and the previous one in case the newest is damaged
_OUTDATED = 30 * 24 * 3600.0  # seconds
_DIGEST = hashlib.sha256().digest_size


def interval() -> float:
    """Seconds between two checkpoints: PETSEG_CHECKPOINT_SECONDS, by default 30."""
    seconds = machine.number("PETSEG_CHECKPOINT_SECONDS")
    return 30.0 if seconds is None else seconds


class Checkpoints:
    """The checkpoints of one training. The newest two are kept.

    Args:
        folder: holds only these checkpoints and a lock; created with the first checkpoint.
        seconds: least time between two checkpoints. It is at least 50 times the time that writing the last one took, so
            that checkpoints cost at most 2 % of the training time.
    """

    def __init__(self, folder: str | Path, seconds: float) -> None:
        self.folder, self._seconds, self._cost = Path(folder), seconds, 0.0
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for another checkpoint."""
        return time.monotonic() - self._last >= max(self._seconds, 50 * self._cost)

    def save(self, state: dict[str, Any]) -> None:
        """Writes a checkpoint atomically and flushes it to the disk, then removes the oldest.

        Args:
            state: what `torch.load` reads with `weights_only=True`.

        Raises:
            PetsegError: the disk is full; the earlier checkpoints are unchanged.
        """
        started = time.monotonic()
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getbuffer()
        number = max(self._numbers(), default=0) + 1
        with atomic_file(self._path(number)) as part, open(part, "wb") as file:
            file.write(hashlib.sha256(content).digest())
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        for old in self._numbers()[:-_KEPT]:
            self._path(old).unlink()
        self._last = time.monotonic()
        self._cost = self._last - started

    def load(self) -> dict[str, Any] | None:
        """Returns the newest intact checkpoint, its tensors on the CPU; None if there is none.

        A damaged checkpoint is removed with a warning, and the previous one is used.
        """
        for number in reversed(self._numbers()):
            path = self._path(number)
            with open(path, "rb") as file:
                digest, content = file.read(_DIGEST), file.read()
            if hashlib.sha256(content).digest() == digest:
                return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            print(f"warning: {path} is damaged and was removed; using the previous checkpoint, if any", file=sys.stderr)
            path.unlink()
        return None

    def clear(self) -> None:
        """Removes the folder with all checkpoints."""
        for number in self._numbers():  # before the lock, so that its next owner finds no checkpoint
            self._path(number).unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self.folder.glob("*.ckpt") if path.stem.isdecimal())

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06}.ckpt"


def remove_outdated(folder: Path) -> None:
    """Removes the trainings in `folder` that wrote no checkpoint for 30 days."""
    for old in folder.glob("*"):
        with contextlib.suppress(FileNotFoundError):  # removed by its own training meanwhile
            if time.time() - old.stat().st_mtime > _OUTDATED:
                shutil.rmtree(old, ignore_errors=True)
