"""Facts of the machine that are no part of an experiment: device, worker processes, versions.

They come from the environment, are recorded with the results, and never make a stage stale.
"""

import os
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING

from petseg.errors import PetsegError

if TYPE_CHECKING:
    import torch


def workers() -> int:
    """Worker processes for data work: PETSEG_WORKERS, else one a CPU core that this process may use.

    Raises:
        PetsegError: PETSEG_WORKERS is no whole number from 1 to 256.
    """
    text = os.environ.get("PETSEG_WORKERS")
    if not text:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise PetsegError(f"PETSEG_WORKERS is {text!r}; set it to a whole number from 1 to 256, or unset it.")
    return int(text)


def device() -> "torch.device":
    """The device to compute on: PETSEG_DEVICE (`cpu`, `cuda`, `cuda:1`), else the first GPU, else the CPU.

    Raises:
        PetsegError: the device that PETSEG_DEVICE names is not there.
    """
    import torch

    gpus = torch.cuda.device_count()
    name = os.environ.get("PETSEG_DEVICE") or ("cuda" if gpus else "cpu")
    here = {"cpu", *(["cuda"] if gpus else []), *(f"cuda:{i}" for i in range(gpus))}
    if name not in here:
        raise PetsegError(f"PETSEG_DEVICE is {name!r}; this machine has {', '.join(sorted(here))}.")
    return torch.device(name)


def describe(device: "torch.device") -> dict[str, str | int]:
    """What did the work: device and its name, CPU threads, Python and library versions."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()
    return {
        "device": str(device),
        "device_name": name,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "albumentations": version("albumentations"),
    }


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
