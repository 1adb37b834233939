"""Predicts photographs as they appear in folders."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from petseg.inference.find import find
from petseg.inference.folder import Folder
from petseg.runtime.errors import Stopped

POLL = 1.0  # seconds between two looks

_State = tuple[int, int]  # size and time of the last change


def watch(folder: Folder, arguments: Sequence[str], recursive: bool, overwrite: bool) -> None:
    """Predicts the photographs that `find` returns, now and later, until a signal stops it.

    A file is predicted once its size and time have not changed between two looks; and again if they change later.
    """
    seen: dict[Path, _State] = {}
    finished: dict[Path, _State] = {}
    try:
        while True:
            jobs = find(arguments, recursive)
            states = {job.path: state for job in jobs if (state := _state(job.path))}
            due = {path for path, state in states.items() if seen.get(path) == state != finished.get(path)}
            new = [job for job in jobs if job.path in due - finished.keys()]
            changed = [job for job in jobs if job.path in due & finished.keys()]
            for failure in [*folder.run(new, overwrite), *folder.run(changed, overwrite=True)]:
                print(failure, file=sys.stderr)
            finished |= {path: states[path] for path in due}
            seen = states
            time.sleep(POLL)
    except Stopped:
        return


def _state(path: Path) -> _State | None:
    """None if the file does not exist (any more)."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns
