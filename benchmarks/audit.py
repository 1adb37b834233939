"""Measures time and memory of `petseg audit` on a data set, and prints rows for audit.md.

Audits the folder twice, first with an empty cache, then with the cache of the first time. Without a folder, draws
images of about 500 x 375 pixels and 100 kB, as benchmarks/pack.py does; drawing is not timed.

CPU time includes the worker processes. Memory is the sum of their proportional set sizes (PSS), see pack.py.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

from pack import draw, memory, peak_memory
from petseg.data import layout
from petseg.runtime import machine

HEADER = (
    "| date | commit | machine | data | images | workers | cache | seconds | CPU seconds | images/s "
    "| peak memory, MiB (PSS) |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="the data set; drawn images if it is left out")
    parser.add_argument("--images", type=int, default=7349, help="number of images to draw")
    parser.add_argument("--workers", type=int, default=machine.workers(), help="worker processes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder
        if folder is None:
            folder = Path(temporary) / "drawn"
            draw(folder, options.images, options.workers)
        number = sum(map(len, layout.read_lists(folder)))
        runs = {cache: audit(folder, Path(temporary), options.workers) for cache in ("empty", "full")}
    import torch  # only now: the measured processes do not need it

    from measuring import commit

    cpu = f"{machine.describe(torch.device('cpu'))['device_name']}, {machine.cores()} cores"
    print(HEADER)
    for cache, (seconds, used, peak) in runs.items():
        print(
            f"| {datetime.now(UTC):%Y-%m-%d} | {commit()} | {cpu} | {folder.name} | {number:,} | {options.workers} "
            f"| {cache} | {seconds:.1f} | {used:.1f} | {number / seconds:.0f} | {peak / 2**20:.0f} |"
        )


def audit(folder: Path, temporary: Path, workers: int) -> tuple[float, float, int]:
    """Runs the command; returns its time and CPU time in seconds, and its peak memory in bytes."""
    command = [sys.executable, "-m", "petseg", "audit", str(folder), "--page", str(temporary / "audit.html")]
    env = os.environ | {"PETSEG_CACHE": str(temporary / "cache"), "PETSEG_WORKERS": str(workers)}
    start, before = time.perf_counter(), cpu_seconds()
    with peak_memory() as peak:
        subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    own = memory(psutil.Process())  # this process waits, and is counted as well
    return time.perf_counter() - start, cpu_seconds() - before, peak["bytes"] - own


def cpu_seconds() -> float:
    """CPU time of the children of this process that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
