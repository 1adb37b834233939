"""Facts of the machine that are no part of an experiment: device, worker processes, versions.

They come from the environment, are recorded with the results, and never make a stage stale.
"""

import os
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING

from petseg.runtime.errors import PetsegError

if TYPE_CHECKING:
    import torch


def core_numbers() -> list[int]:
    """The CPU cores that this process may use, as the system numbers them."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def cores() -> int:
    """CPU cores that this process may use."""
    return len(core_numbers())


def workers() -> int:
    """Worker processes for data work: PETSEG_WORKERS, else one a CPU core that this process may use.

    Raises:
        PetsegError: PETSEG_WORKERS is no whole number from 1 to 256.
    """
    text = os.environ.get("PETSEG_WORKERS")
    if not text:
        return cores()
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise PetsegError(f"PETSEG_WORKERS is {text!r}; set it to a whole number from 1 to 256, or unset it.")
    return int(text)


def device() -> "torch.device":
    """The device to compute on: PETSEG_DEVICE (`cpu`, `cuda`, `cuda:1`), else the first GPU, else the CPU.

    Of several processes that torchrun started, each takes the GPU of its own local rank.

    Raises:
        PetsegError: the device that PETSEG_DEVICE names is not there, or torchrun started more processes than GPUs.
    """
    import torch

    gpus = torch.cuda.device_count()
    name = os.environ.get("PETSEG_DEVICE") or ("cuda" if gpus else "cpu")
    here = {"cpu", *(["cuda"] if gpus else []), *(f"cuda:{i}" for i in range(gpus))}
    if name not in here:
        raise PetsegError(f"PETSEG_DEVICE is {name!r}; this machine has {', '.join(sorted(here))}.")
    if name != "cuda":
        return torch.device(name)
    rank = int(os.environ.get("LOCAL_RANK", 0))
    if rank >= gpus:
        raise PetsegError(f"Local rank {rank} has no GPU, for there are {gpus}; start one process a GPU.")
    return torch.device("cuda", rank)


def processes() -> int:
    """Training processes on this machine, one a device: PETSEG_PROCESSES, else one a GPU, else 1.

    Raises:
        PetsegError: PETSEG_PROCESSES is no whole number from 1 to 64, or more than there are GPUs.
    """
    import torch

    text = os.environ.get("PETSEG_PROCESSES")
    named = os.environ.get("PETSEG_DEVICE", "")
    gpus = 0 if named == "cpu" else 1 if ":" in named else torch.cuda.device_count()
    if not text:
        return max(gpus, 1)
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise PetsegError(f"PETSEG_PROCESSES is {text!r}; set it to a whole number from 1 to 64, or unset it.")
    if gpus and int(text) > gpus:
        raise PetsegError(f"PETSEG_PROCESSES is {text}, but there are {gpus} GPUs to use; set it to {gpus} at most.")
    return int(text)


def local_processes() -> int:
    """Training processes on this machine: as torchrun started them, or `processes`."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 0)) or processes()


def cpu_flags() -> set[str]:
    """Instruction set extensions of the CPU, as Linux names them (x86 and Arm); empty elsewhere."""
    return set(_cpu_info("flags", "Features").split())


def describe(device: "torch.device") -> dict[str, str | int]:
    """What did the work: device and its name, CPU threads, Python and library versions."""
    import torch

    cpu = _cpu_info("model name") or platform.processor() or platform.machine()
    return {
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "albumentations": version("albumentations"),
    }


def _cpu_info(*names: str) -> str:
    """The first line of /proc/cpuinfo that has one of these names; empty where there is none."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            pairs = (line.partition(":") for line in lines)
            return next(value.strip() for name, _, value in pairs if name.strip() in names)
    except (OSError, StopIteration):
        return ""
