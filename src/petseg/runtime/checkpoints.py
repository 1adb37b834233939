"""What a training leaves on disk while it runs, so that it can go on after any end.

A checkpoint belongs to a fingerprint of parameters, data and code: another training never continues it.
"""

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

from petseg.runtime.errors import PetsegError
from petseg.runtime.files import atomic_file

_KEPT = 2  # the newest, and the one before in case that the newest is damaged
_OUTDATED = 30 * 24 * 3600.0  # seconds after which what nobody continued is removed
_DIGEST = hashlib.sha256().digest_size


def interval() -> float:
    """Seconds between two checkpoints: PETSEG_CHECKPOINT_SECONDS, else 30.

    Raises:
        PetsegError: it is no number from 0 to 86400.
    """
    text = os.environ.get("PETSEG_CHECKPOINT_SECONDS") or "30"
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 86_400:
        raise PetsegError(f"PETSEG_CHECKPOINT_SECONDS is {text!r}; set it to a number from 0 to 86400, or unset it.")
    return seconds


class Checkpoints:
    """The checkpoints of one training, in a folder of their own; numbered, the newest two are kept.

    Args:
        folder: where they lie; made when the first is written.
        seconds: at least that long between two; 50 times as long as the last took to write, if that is more, so that
            writing costs at most 2 % of the time.
    """

    def __init__(self, folder: str | Path, seconds: float) -> None:
        self.folder, self._seconds, self._cost = Path(folder), seconds, 0.0
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time to save again."""
        return time.monotonic() - self._last >= max(self._seconds, 50 * self._cost)

    def save(self, state: dict[str, Any]) -> None:
        """Writes a checkpoint, whole or not at all and through to the disk, then removes the oldest.

        Raises:
            PetsegError: the disk is full; the checkpoints before are still there.
        """
        started = time.monotonic()
        content = io.BytesIO()
        torch.save(state, content)
        number = max(self._numbers(), default=0) + 1
        with atomic_file(self.folder / f"{number:06}.ckpt") as part, open(part, "wb") as file:
            file.write(hashlib.sha256(content.getbuffer()).digest())
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        _sync(self.folder)
        for old in self._numbers()[:-_KEPT]:
            self._path(old).unlink(missing_ok=True)
        self._last = time.monotonic()
        self._cost = self._last - started

    def load(self) -> dict[str, Any] | None:
        """The newest checkpoint that is whole, its tensors on the CPU; None where there is none.

        A damaged one is named on stderr and removed, and the one before is taken.
        """
        for number in reversed(self._numbers()):
            path = self._path(number)
            content = path.read_bytes()
            if len(content) > _DIGEST and hashlib.sha256(content[_DIGEST:]).digest() == content[:_DIGEST]:
                return torch.load(io.BytesIO(content[_DIGEST:]), map_location="cpu", weights_only=True)
            print(f"warning: {path} is damaged and was removed; the one before it is taken", file=sys.stderr)
            path.unlink()
        return None

    def clear(self) -> None:
        """Removes them all: the training is done."""
        for number in self._numbers():  # before the lock, so that nobody who gets it finds them
            self._path(number).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self.folder.glob("*.ckpt") if path.stem.isdecimal())

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06}.ckpt"


def remove_outdated(folder: Path) -> None:
    """Removes the checkpoints in `folder` that nobody has touched for 30 days."""
    for old in folder.glob("*"):
        with contextlib.suppress(FileNotFoundError):  # another training has removed its own
            if time.time() - old.stat().st_mtime > _OUTDATED:
                shutil.rmtree(old, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Makes a new name in `folder` outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
