"""Facts about the machine that are not part of an experiment: cores, devices, processes, versions.

They come from the system and from environment variables, and never make a stage stale.
"""

import contextlib
import ctypes
import math
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from petseg.runtime.errors import PetsegError

if TYPE_CHECKING:
    import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_NUMBERS = {  # environment variables: type and range
    "PETSEG_WORKERS": (int, 1, 256),
    "PETSEG_PROCESSES": (int, 1, 64),
    "PETSEG_CHECKPOINT_SECONDS": (float, 0, 86_400),
}


def check_environment() -> None:
    """Raises PetsegError if a variable PETSEG_* is invalid, whether or not this machine or stage uses it."""
    for name in _NUMBERS:
        number(name)
    device = os.environ.get("PETSEG_DEVICE", "")
    if not re.fullmatch(r"(cpu|cuda(:\d+)?)?", device):
        raise PetsegError(f"PETSEG_DEVICE is {device!r}; set it to cpu, cuda or cuda:N, or unset it.")
    if not locks().is_dir():
        cure = "name a folder" if locks().exists() else "create it"
        raise PetsegError(f"PETSEG_LOCKS is {str(locks())!r}, which is not a folder; {cure}, or unset PETSEG_LOCKS.")


def locks() -> Path:
    """The folder of the locks on devices: PETSEG_LOCKS, by default /tmp.

    Not TMPDIR: the folder must be the same for all users and jobs of a machine.
    """
    return Path(os.environ.get("PETSEG_LOCKS") or "/tmp")


def number(name: str) -> float | None:
    """The value of one of the environment variables PETSEG_WORKERS, PETSEG_PROCESSES and PETSEG_CHECKPOINT_SECONDS.

    Returns:
        An int for the first two, a float of seconds for the last; None if it is unset or empty.

    Raises:
        PetsegError: the value is not a number, or out of range.
    """
    kind, low, high = _NUMBERS[name]
    text = os.environ.get(name)
    if not text:
        return None
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        noun = "a whole number" if kind is int else "a number"
        raise PetsegError(f"{name} is {text!r}; set it to {noun} from {low} to {high}, or unset it.")
    return value


def core_numbers() -> list[int]:
    """The numbers of the CPU cores that this process may run on."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def cores() -> int:
    """The number of CPU cores for this process: its affinity mask, limited by a container's CPU quota (rounded up)."""
    return max(1, math.ceil(min(len(core_numbers()), _cpu_quota())))


def _cpu_quota() -> float:
    """The number of CPUs whose time this process's control groups may use (cgroup v1 and v2); infinite if unlimited."""
    try:
        lines = [line.split(":", 2) for line in _OWN_CGROUPS.read_text().splitlines()]
    except OSError:  # not Linux
        return math.inf
    quotas = [math.inf]
    for _, controllers, group in lines:
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = _CGROUPS / "cpu" if controllers else _CGROUPS  # a controller of v1, or v2
        files = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if controllers else ("cpu.max",)
        folder = top / group.lstrip("/")
        # Limits of the groups above hold as well. A container may see its own group as the top, but not this path.
        for each in (folder, *folder.parents)[: len(Path(group).parts)]:
            with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
                quota, period = map(int, " ".join((each / file).read_text() for file in files).split())
                quotas.append(quota / period if quota > 0 else math.inf)
    return min(quotas)


def workers() -> int:
    """The number of worker processes for preparing data: PETSEG_WORKERS, by default one per core."""
    return int(number("PETSEG_WORKERS") or cores())


def device(name: str | None = None) -> "torch.device":
    """The device of this name, by default PETSEG_DEVICE (`cpu`, `cuda`, `cuda:1`), else the first GPU, else the CPU.

    Under torchrun each process gets the GPU of its local rank.

    Raises:
        PetsegError: there is no such device, or there are more processes than GPUs.
    """
    import torch

    gpus = torch.cuda.device_count()
    source = "PETSEG_DEVICE" if name is None else "device"
    name = name or os.environ.get("PETSEG_DEVICE") or ("cuda" if gpus else "cpu")
    devices = ["cpu", *(["cuda"] if gpus else []), *(f"cuda:{i}" for i in range(gpus))]
    devices += ["mps"] if source == "device" and torch.backends.mps.is_available() else []  # not for training
    if name not in devices:
        raise PetsegError(f"{source} is {name!r}, but this machine has {', '.join(devices)}; choose one of them.")
    if name != "cuda":
        return torch.device(name)
    rank = int(os.environ.get("LOCAL_RANK", 0))
    if rank >= gpus:
        raise PetsegError(f"There is no GPU for local rank {rank}, only {gpus} GPUs; start one process per GPU.")
    return torch.device("cuda", rank)


def processes() -> int:
    """The number of training processes on this machine: PETSEG_PROCESSES, by default one per GPU, 1 without a GPU.

    Raises:
        PetsegError: PETSEG_PROCESSES is larger than the number of GPUs.
    """
    import torch

    name = os.environ.get("PETSEG_DEVICE", "")
    gpus = 0 if name == "cpu" else 1 if ":" in name else torch.cuda.device_count()
    count = int(number("PETSEG_PROCESSES") or max(gpus, 1))
    if gpus and count > gpus:
        raise PetsegError(f"PETSEG_PROCESSES is {count}, but only {gpus} GPUs can be used; set it to {gpus} or less.")
    return count


def local_processes() -> int:
    """The number of training processes on this machine: as torchrun started them, else `processes`."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 0)) or processes()


def keep_freed_memory() -> None:
    """Makes glibc keep large freed blocks instead of returning them to the system; does nothing elsewhere.

    Otherwise the maps of a network are returned and requested again in every training step, which took a fifth of the
    time of a step (benchmarks/speed.md).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt and mallopt(_M_MMAP_THRESHOLD, 2**30):  # glibc before 2.35 refuses more than 32 MiB
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def describe(device: "torch.device") -> dict[str, str | int]:
    """What a result was computed with: device, its name, CPU threads, versions of Python and of libraries."""
    import torch

    return {
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "albumentations": version("albumentations"),
    }


def cpu_name() -> str:
    """The processor's name, or at least its architecture."""
    return _cpu_info("model name") or platform.processor() or platform.machine()


def cpu_flags() -> set[str]:
    """The CPU's features as Linux names them, such as `avx512_bf16` (x86) or `bf16` (Arm); empty on other systems."""
    return set(_cpu_info("flags", "Features").split())


def _cpu_info(*names: str) -> str:
    """The value of the first line of /proc/cpuinfo with one of these names; empty if there is none."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            pairs = (line.partition(":") for line in lines)
            return next(value.strip() for name, _, value in pairs if name.strip() in names)
    except (OSError, StopIteration):
        return ""
