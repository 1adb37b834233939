"""One training a GPU or CPU core: those that start at once on one machine take different ones, or turns."""

import fcntl
import os
import random
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from petseg.runtime import machine
from petseg.runtime.errors import PetsegError

if TYPE_CHECKING:
    import torch

_held: list[int] = []  # descriptors, open until this process ends, however it ends; so is the lock on each


def claim_for_training(processes: int) -> None:
    """Takes a GPU for each process, and CUDA_VISIBLE_DEVICES names them afterwards; or, on a CPU, a core a thread.

    Waits, and says so, while other trainings have too many of them. CPU threads that share a layer wait for each other
    all the time: where two trainings use the same cores, both together do a tenth of what one does alone.

    Raises:
        PetsegError: there is no such device as PETSEG_DEVICE names, or no lock can be made.
    """
    import torch

    device = machine.device()
    if device.type == "cpu":
        _claim_cores(processes * torch.get_num_threads())
    else:
        _claim_gpus(device, processes)


def _claim_cores(threads: int) -> None:
    """Which thread runs on which core stays the system's business."""
    cores = [f"core-{number}" for number in machine.core_numbers()]
    count = min(threads, len(cores))
    claim(cores, count, "cores", " (with OMP_NUM_THREADS=1 each training takes one)" if count > 1 else "")


def _claim_gpus(device: "torch.device", count: int) -> None:
    import torch

    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = listed.split(",") if listed else [str(i) for i in range(torch.cuda.device_count())]
    one_is_named = ":" in os.environ.get("PETSEG_DEVICE", "")
    if one_is_named:
        visible = [visible[device.index]]
    names = {f"gpu-{gpu}": name for gpu, name in zip(_identities(visible), visible, strict=True)}
    claimed = claim(list(names), count, "GPUs")
    if not one_is_named:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names[gpu] for gpu in claimed)


def claim(names: list[str], count: int, what: str, hint: str = "") -> list[str]:
    """Takes `count` of these for this process until it ends; waits, and says so, while too few are free.

    The locks lie in PETSEG_LOCKS, or else in /tmp, the same for all users.

    Args:
        names: as all processes of this machine call them.
        count: at most their number.
        what: they are, and `hint`, how to need fewer: for the sentence.

    Raises:
        PetsegError: no lock can be made there.
    """
    folder = _folder()
    told = False
    while True:
        free = {}
        for name in names:
            lock = _try(folder / f"petseg-{name}.lock")
            if lock is not None:
                free[name] = lock
            if len(free) == count:
                _held.extend(free.values())
                return list(free)
        for lock in free.values():
            os.close(lock)
        if not told:
            print(f"other trainings use the {what} of this machine; waiting for {count}{hint}", flush=True)
            told = True
        time.sleep(random.uniform(0.5, 1))  # not in step with another who waits


def _folder() -> Path:
    """Not TMPDIR, which may be a job's own."""
    default = "/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir()
    return Path(os.environ.get("PETSEG_LOCKS") or default)


def _try(path: Path) -> int | None:
    """A descriptor of the file, locked by this process; None if another one has locked it."""
    try:
        lock = _open(path)
    except OSError as error:
        raise PetsegError(
            f"{path} cannot be made or read ({error.strerror}), which keeps trainings on one device apart; let "
            f"everybody write to {path.parent}, or set PETSEG_LOCKS to another folder."
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _open(path: Path) -> int:
    """Opens a file for reading, which is enough to lock it; it may be another user's. Makes it if there is none."""
    try:
        made = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL)
        os.fchmod(made, 0o644)  # whatever the umask
        return made
    except FileExistsError:
        return os.open(path, os.O_RDONLY)


def _identities(names: list[str]) -> list[str]:
    """The identifiers (UUIDs) of GPUs that CUDA_VISIBLE_DEVICES may call by number or the beginning of an identifier.

    Where each job sees its own GPUs alone, as under SLURM, all jobs call theirs 0. The name itself stays where
    nvidia-smi does not tell.
    """
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        ids = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return names
    numbered = {str(number): identity for number, identity in enumerate(ids)}
    return [numbered.get(name) or next((each for each in ids if each.startswith(name)), name) for name in names]
