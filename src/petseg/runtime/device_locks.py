"""Locks on GPUs and CPU cores: simultaneous trainings on one machine use different ones, or wait."""

import os
import random
import subprocess
import time
from typing import TextIO

from petseg.runtime import machine
from petseg.runtime.errors import PetsegError
from petseg.runtime.locks import try_lock

_held: list[TextIO] = []  # locked until this process ends


def claim_for_training(processes: int) -> None:
    """Locks a GPU for each training process, or on a CPU a core for each thread, until this process ends.

    Waits, and says so, while other trainings use too many of them. CUDA_VISIBLE_DEVICES then lists the locked GPUs.
    On a CPU the locks only limit how many trainings run at once. The threads of a layer wait for each other, so two
    trainings on the same cores together reach a tenth of the speed of one.

    Raises:
        PetsegError: PETSEG_DEVICE names a device that does not exist, or no lock file can be created.
    """
    import torch

    device = machine.device()
    if device.type == "cpu":
        cores = [f"core-{number}" for number in machine.core_numbers()]
        count = min(processes * torch.get_num_threads(), len(cores))
        claim(cores, count, "cores", "; with OMP_NUM_THREADS=1 each training uses one" if count > 1 else "")
        return
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = listed.split(",") if listed else [str(i) for i in range(torch.cuda.device_count())]
    one_is_named = ":" in os.environ.get("PETSEG_DEVICE", "")
    if one_is_named:
        visible = [visible[device.index]]
    names = {f"gpu-{uuid}": name for uuid, name in zip(_uuids(visible), visible, strict=True)}
    claimed = claim(list(names), processes, "GPUs")
    if not one_is_named:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names[gpu] for gpu in claimed)


def claim(names: list[str], count: int, kind: str, hint: str = "") -> list[str]:
    """Locks `count` of the named devices until this process ends; waits, and says so, while too few are free.

    Args:
        names: the same for every process on this machine.
        count: at most the number of names.
        kind: plural noun for the message.
        hint: for the message, how to need fewer.

    Returns:
        The names of the locked devices.

    Raises:
        PetsegError: no lock file can be created in PETSEG_LOCKS (default: /tmp).
    """
    message = f"waiting for {count} free {kind}, which other trainings use{hint}"
    while True:
        free = {}
        for name in names:
            if lock := _try_lock(name):
                free[name] = lock
            if len(free) == count:
                _held.extend(free.values())
                return list(free)
        for lock in free.values():
            lock.close()
        if message:
            print(message, flush=True)
            message = ""
        time.sleep(random.uniform(0.5, 1))  # random, so that two waiting processes do not block each other for long


def _try_lock(name: str) -> TextIO | None:
    folder = machine.locks()
    try:
        return try_lock(folder / f"petseg-{name}.lock")
    except OSError as error:
        raise PetsegError(
            f"The lock file {folder}/petseg-{name}.lock cannot be created or read ({error.strerror}); make {folder} "
            "writable for all users, or set PETSEG_LOCKS to another folder."
        ) from None


def _uuids(names: list[str]) -> list[str]:
    """The UUIDs of GPUs, which CUDA_VISIBLE_DEVICES may name by number or by the beginning of their UUID.

    Numbers do not identify a GPU: under SLURM each job sees only its own GPUs and counts them from 0. A name that
    nvidia-smi does not know is returned unchanged.
    """
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        uuids = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return names
    numbered = {str(number): uuid for number, uuid in enumerate(uuids)}
    return [numbered.get(name) or next((uuid for uuid in uuids if uuid.startswith(name)), name) for name in names]
