"""Writing so that nothing half-written is ever visible: beside the name first, then moved into place."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from petseg.runtime.errors import PetsegError, disk_full


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yields a path in the same folder to write to; moves it to `path` at the end, or removes it after an error.

    Raises:
        PetsegError: the disk is full (named with `path`).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        raise disk_full(error, path) or error from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yields an empty folder beside `path` to fill; it takes the place of `path` (if any) at the end, or is removed.

    Raises:
        PetsegError: the disk is full (named with `path`).
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        part = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=f".{os.getpid()}.part", dir=path.parent))
    except PermissionError as error:
        raise PetsegError(f"{path.parent} may not be written ({error.strerror}); change its rights.") from None
    except OSError as error:
        raise disk_full(error, path) or error from error
    part.chmod(0o777 & ~_umask())
    try:
        yield part
        _exchange(part, path)
    except OSError as error:
        raise disk_full(error, path) or error from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _exchange(new: Path, path: Path) -> None:
    """Puts the folder `new` at `path`; whatever interrupts that, there is a whole folder at `path` afterwards."""
    old = new.with_suffix(".old")
    try:
        if path.exists():
            path.rename(old)
        new.rename(path)
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _remove_leftovers(path: Path) -> None:
    """Removes what processes that were killed while they wrote `path` have left beside it; names end in .PID.part."""
    for left in path.parent.glob(f".{path.name}.*"):
        pid, kind = left.name.split(".")[-2:]
        if kind in ("part", "old") and pid.isdecimal() and not _alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def _umask() -> int:
    """The process's umask (mkdtemp makes folders that only their owner can read; outputs are ordinary folders)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: str | Path, text: str) -> None:
    """Writes UTF-8 text, whole or not at all."""
    with atomic_file(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: object) -> None:
    """Writes JSON as people read it and git diffs it: indented, in the given order; ValueError for NaN and infinity."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
