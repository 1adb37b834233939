"""Files and folders that appear complete or not at all: written under a temporary name, then renamed."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from petseg.runtime.errors import disk_full


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path to write to, then renames it to `path`; after an error the temporary file is removed.

    Raises:
        PetsegError: the disk is full.
    """
    path = Path(path)
    with _temporary(path) as part:
        yield part
        os.replace(part, path)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yields an empty temporary folder to fill, then renames it to `path`, which is replaced if it exists.

    After an error the temporary folder is removed and `path` is unchanged.

    Raises:
        PetsegError: the disk is full.
    """
    path = Path(path)
    with _temporary(path) as part:
        part.mkdir()
        yield part
        _replace_folder(part, path)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Yields a free path beside `path`, and removes what is left there at the end."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        try:
            yield part
        finally:
            _remove(part)
    except OSError as error:
        raise disk_full(error, path) or error from None


def _replace_folder(new: Path, path: Path) -> None:
    """Renames the folder `new` to `path`. If this is interrupted, the old or the new folder is at `path`."""
    old = new.with_suffix(".old")
    try:
        if path.exists():
            path.rename(old)
        new.rename(path)
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
    _remove(old)


def _remove_leftovers(path: Path) -> None:
    """Removes temporary files and folders of `path` whose process was killed; their names end in .PID.part or .old."""
    for left in path.parent.glob(f".{path.name}.*"):
        pid, kind = left.name.split(".")[-2:]
        # In a container a killed process often had the same PID as this one.
        if kind in ("part", "old") and pid.isdecimal() and (int(pid) == os.getpid() or not psutil.pid_exists(int(pid))):
            _remove(left)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Writes UTF-8 text atomically."""
    with atomic_file(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: object) -> None:
    """Writes indented JSON atomically, keys in the given order; raises ValueError for a NaN or infinite number."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
