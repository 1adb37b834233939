"""Measures time and memory of `petseg audit` on a data set, and prints rows for audit.md.

Audits the folder twice, first with an empty cache, then with the cache of the first time. Without a folder, draws images
of about 500 x 375 pixels and 100 kB, as benchmarks/pack.py does; drawing is not timed.

CPU time is that of this process and its workers. Memory is the sum of their proportional set sizes (PSS), see pack.py.
"""

import argparse
import os
import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from pack import draw, peak_memory
from petseg.audit import command
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
        os.environ["PETSEG_CACHE"] = f"{temporary}/cache"
        folder = options.folder
        if folder is None:
            folder = Path(temporary) / "drawn"
            draw(folder, options.images, options.workers)
        rows = [measure(folder, options.workers, cache) for cache in ("empty", "full")]
    print(f"{HEADER}\n" + "\n".join(rows))


def measure(folder: Path, workers: int, cache: str) -> str:
    """Audits a folder; returns a row of the table."""
    start, before = time.perf_counter(), cpu_seconds()
    with peak_memory() as peak:
        audited = command.audit(folder, workers)
    seconds, used = time.perf_counter() - start, cpu_seconds() - before
    import torch  # only now: the measured processes do not need it

    from measuring import commit

    cpu = f"{machine.describe(torch.device('cpu'))['device_name']}, {machine.cores()} cores"
    number = len(audited.data.samples)
    return (
        f"| {datetime.now(UTC):%Y-%m-%d} | {commit()} | {cpu} | {folder.name} | {number:,} | {workers} | {cache} "
        f"| {seconds:.1f} | {used:.1f} | {number / seconds:.0f} | {peak['bytes'] / 2**20:.0f} |"
    )


def cpu_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    usages = [resource.getrusage(which) for which in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    main()
