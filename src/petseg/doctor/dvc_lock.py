"""The file in which running `dvc` processes note what they read and write, as a killed `dvc` may leave it.

DVC rewrites .dvc/tmp/rwlock in place. Killed in that moment, it leaves an empty file, and every later command ends with
"Unable to read RWLock-file". DVC itself drops entries of processes that no longer exist, but not those whose PID
another program has now, as happens in containers. The other file, .dvc/tmp/lock, needs no care: the kernel holds that
lock, and releases it when the process ends.
"""

import contextlib
import json
from pathlib import Path

import psutil

from petseg.doctor.checks import ERROR, OK, WARNING, Result
from petseg.runtime.locks import try_lock
from petseg.runtime.signals import is_dvc

FOLDER = Path(".dvc/tmp")


def check() -> Result:
    """Removes the file if it is damaged or names only processes that are not `dvc`, unless `dvc` runs here."""
    path = FOLDER / "rwlock"
    if not path.exists():
        return OK, f"there is no {path}"
    guard = try_lock(FOLDER / "rwlock.lock")  # dvc holds it while it edits the file
    if guard is None:
        return OK, "dvc runs, and is using its lock"
    with guard:
        damage = _damage(path.read_bytes())
        if damage is None:
            return OK, f"{path} is intact"
        if pids := _running():
            listed = ", ".join(map(str, pids))
            return ERROR, f"{path} {damage}, and dvc runs (PID {listed}); when it has ended, run `petseg doctor` again"
        path.unlink()
        return WARNING, f"{path} {damage}, left by a dvc that was killed; it was removed, and dvc works again"


def _damage(content: bytes) -> str | None:
    """What is wrong with the file, as the end of a sentence; None if DVC can work with it."""
    if not content.strip():
        return "was empty"
    try:
        locks = json.loads(content)
        writers = list(locks.get("write", {}).values())
        readers = [reader for each in locks.get("read", {}).values() for reader in each]
        pids = {int(each["pid"]) for each in writers + readers}
    except (AttributeError, KeyError, TypeError, ValueError):
        return "was damaged"
    if others := sorted(pid for pid in pids if psutil.pid_exists(pid) and not _is_dvc(pid)):
        return f"named process {others[0]}, which is not dvc"
    return None


def _is_dvc(pid: int) -> bool:
    try:
        return is_dvc(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # another user's
        return True


def _running() -> list[int]:
    """The `dvc` processes that work in this project."""
    project, found = Path.cwd().resolve(), []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # it has ended, or belongs to another user
            if is_dvc(process) and Path(process.cwd()).is_relative_to(project):
                found.append(process.pid)
    return found
