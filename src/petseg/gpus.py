"""One training a GPU: two that start at once on one machine take different ones, or one after the other."""

import fcntl
import os
import random
import subprocess
import tempfile
import time
from pathlib import Path

from petseg import machine
from petseg.errors import PetsegError

_held: list[int] = []  # descriptors, open until this process ends, however it ends; so is the lock on each


def claim(gpus: list[str], count: int, folder: str | Path | None = None) -> list[str]:
    """Takes `count` of the GPUs for this process until it ends; waits, and says so, while too few are free.

    Args:
        gpus: names that all processes of this machine give them.
        count: at most their number.
        folder: where the locks lie, the same for all users; /tmp.

    Raises:
        PetsegError: no lock can be made there.
    """
    folder = Path(folder or ("/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir()))
    told = False
    while True:
        free = {}
        for gpu in gpus:
            lock = _try(folder / f"petseg-gpu-{gpu}.lock")
            if lock is not None:
                free[gpu] = lock
            if len(free) == count:
                _held.extend(free.values())
                return list(free)
        for lock in free.values():
            os.close(lock)
        if not told:
            print(f"other trainings use the GPUs of this machine; waiting for {count}", flush=True)
            told = True
        time.sleep(random.uniform(0.5, 1))  # not in step with another who waits


def _try(path: Path) -> int | None:
    """A descriptor of the file, locked by this process; None if another one has locked it."""
    try:
        lock = _open(path)
    except OSError as error:
        raise PetsegError(
            f"{path} cannot be made or read ({error.strerror}), which keeps trainings on one GPU apart; let everybody "
            f"write to {path.parent}."
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


def claim_for_training(processes: int) -> None:
    """Takes as many GPUs as there are processes, where PETSEG_DEVICE does not ask for a CPU or one of them.

    CUDA_VISIBLE_DEVICES names them afterwards, for this process and those that it starts.

    Raises:
        PetsegError: there is no such device as PETSEG_DEVICE names, or no lock can be made.
    """
    import torch

    device = machine.device()
    if device.type == "cpu":
        return
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = listed.split(",") if listed else [str(i) for i in range(torch.cuda.device_count())]
    if ":" in os.environ.get("PETSEG_DEVICE", ""):
        claim(_identities([visible[device.index]]), 1)
        return
    names = dict(zip(_identities(visible), visible, strict=True))
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names[gpu] for gpu in claim(list(names), processes))


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
