"""File locks between processes, also of different users."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TextIO


def try_lock(path: Path) -> TextIO | None:
    """Locks a file if no other process holds the lock; never waits.

    The file and its folder are created if they are missing. The owner of a lock may delete the file.

    Returns:
        The open file, locked until it is closed or the process ends, however it ends; None if another process holds the
        lock or has just deleted the file.

    Raises:
        OSError: the file can be neither created nor read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as close_unless_locked:
        try:
            file = close_unless_locked.enter_context(open(_open(path)))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return None
        except (BlockingIOError, FileNotFoundError):
            return None
        close_unless_locked.pop_all()
    return file


def _open(path: Path) -> int:
    """Opens the file, creates it if it is missing, and lets every user read it; returns a descriptor."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)  # network file systems lock only what can be written
    except PermissionError:
        if not path.exists():
            raise
        return os.open(path, os.O_RDONLY)  # another user's file: elsewhere, reading is enough
    with contextlib.suppress(PermissionError):  # another user's file that everyone can write
        os.fchmod(descriptor, 0o644)  # whatever the umask
    return descriptor
