"""One training a GPU: two that start at once on one machine take different ones, or one after the other."""

import fcntl
import os
import tempfile
import time
from pathlib import Path
from typing import TextIO

_held: list[TextIO] = []  # open until this process ends, however it ends; so is the lock on each


def claim(gpus: list[str], count: int, folder: str | Path | None = None) -> list[str]:
    """Takes `count` of the GPUs for this process until it ends; waits, and says so, while too few are free.

    Args:
        gpus: names that all processes of this machine give them, such as the numbers in CUDA_VISIBLE_DEVICES.
        count: at most their number.
        folder: where the locks lie; the system's folder for temporary files.
    """
    told = False
    while True:
        free = []
        for gpu in gpus:
            lock = _try(Path(folder or tempfile.gettempdir()) / f"petseg-gpu-{gpu}.lock")
            if lock is not None:
                free.append((gpu, lock))
            if len(free) == count:
                _held.extend(lock for _, lock in free)
                return [gpu for gpu, _ in free]
        for _, lock in free:
            lock.close()
        if not told:
            print(f"other trainings use the GPUs of this machine; waiting for {count}", flush=True)
            told = True
        time.sleep(1)


def _try(path: Path) -> TextIO | None:
    """The file, locked by this process; None if another one has locked it."""
    lock = open(path, "a", opener=lambda name, flags: os.open(name, flags, 0o666))  # noqa: SIM115
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def claim_for_training(processes: int) -> None:
    """Takes as many GPUs as there are training processes, where PETSEG_DEVICE does not ask for a CPU or one of them.

    CUDA_VISIBLE_DEVICES names them afterwards, for this process and those that it starts.
    """
    import torch

    named = os.environ.get("PETSEG_DEVICE") or "cuda"
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    gpus = visible or [str(i) for i in range(torch.cuda.device_count())]
    if not gpus or named == "cpu":
        return
    if named != "cuda":
        claim([gpus[int(named.removeprefix("cuda:"))]], 1)
    else:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(claim(gpus, processes))
