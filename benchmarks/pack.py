"""Measures time and memory of packing a data set of the size of Oxford-IIIT Pet, and prints a row for pack.md.

Draws images of about 500 x 375 pixels and 100 kB, as in the real data set, and packs them with `petseg.data.pack`.
Drawing is not timed.

Memory is the sum of the proportional set sizes (PSS) of this process and its workers, sampled 20 times per second:
resident memory, in which a page shared by several processes counts once.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil
from PIL import Image, ImageDraw

from petseg.data import layout, pack, splits
from petseg.runtime import machine

SIZES = ((500, 375), (375, 500), (500, 333), (500, 400), (333, 500), (500, 500), (600, 450), (300, 225))
HEADER = (
    "| date | commit | machine | images | pixels | workers | seconds | images/s | peak memory, MiB (PSS) |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=7349, help="number of images")
    parser.add_argument("--size", type=int, default=256, help="height and width of the packed images, pixels")
    parser.add_argument("--workers", type=int, default=machine.workers(), help="worker processes")
    parser.add_argument("--folder", type=Path, help="where to create a temporary folder of 3 GB")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        raw, packed = Path(folder) / "raw", Path(folder) / "packed"
        draw(raw, options.images, options.workers)
        packed.mkdir()
        with peak_memory() as peak:
            start = time.perf_counter()
            rows = splits.split(*layout.check(raw), "report", seed=0)
            pack.pack(raw, rows, options.size, packed, options.workers)
            seconds = time.perf_counter() - start
        weight = sum(path.stat().st_size for path in (raw / "images").iterdir()) / len(rows)
    import torch  # only now: the measured processes do not need it

    from measuring import commit

    cpu = f"{machine.describe(torch.device('cpu'))['device_name']}, {machine.cores()} cores"
    print(f"{len(rows)} images of {weight / 1000:.0f} kB on average\n\n{HEADER}")
    print(
        f"| {datetime.now(UTC):%Y-%m-%d} | {commit()} | {cpu} | {len(rows)} | {options.size} | {options.workers} "
        f"| {seconds:.1f} | {len(rows) / seconds:.0f} | {peak['bytes'] / 2**20:.0f} |"
    )


def draw(raw: Path, number: int, workers: int) -> None:
    """Draws `number` images in the official layout."""
    for folder in (raw / "images", raw / "annotations" / "trimaps"):
        folder.mkdir(parents=True)
    test = number * 3669 // 7349
    names = [f"pet_{i}" for i in range(number)]
    for list_name, listed in zip(layout.LISTS, (names[test:], names[:test]), strict=True):
        (raw / "annotations" / list_name).write_text("".join(f"{name} 1 1 1\n" for name in listed))
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        list(pool.map(draw_pet, [raw] * len(names), names, range(len(names)), chunksize=32))


def draw_pet(raw: Path, name: str, seed: int) -> None:
    """Draws one image, an ellipse on noise of several scales, and its trimap."""
    rng = np.random.default_rng(seed)
    width, height = SIZES[seed % len(SIZES)]
    photo = np.zeros((height, width, 3), np.float32)
    for cells, strength in ((4, 0.45), (24, 0.25), (120, 0.2)):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        photo += strength * np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    photo += rng.integers(0, 48, photo.shape, dtype=np.uint8)
    image = Image.fromarray(photo.clip(0, 255).astype(np.uint8))
    box = (width * 0.2, height * 0.15, width * 0.75, height * 0.9)
    ImageDraw.Draw(image).ellipse(box, outline=tuple(rng.integers(0, 256, 3).tolist()), width=12)
    image.save(layout.image_path(raw, name), quality=90)
    trimap = Image.new("L", (width, height), 2)
    ImageDraw.Draw(trimap).ellipse(box, fill=1, outline=3, width=8)
    trimap.save(layout.trimap_path(raw, name))


@contextmanager
def peak_memory() -> Iterator[dict[str, int]]:
    """Yields a dict; its `bytes` is the peak memory of this process and its children in the block."""
    peak, done, this = {"bytes": 0}, threading.Event(), psutil.Process()

    def sample() -> None:
        while not done.wait(0.05):
            peak["bytes"] = max(peak["bytes"], sum(map(memory, [this, *this.children(recursive=True)])))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield peak
    finally:
        done.set()
        sampler.join()


def memory(process: psutil.Process) -> int:
    """Proportional set size in bytes (resident set size if the system has no PSS); 0 for a process that has ended."""
    try:
        usage = process.memory_full_info()
    except psutil.Error:
        return 0
    return getattr(usage, "pss", usage.rss)


if __name__ == "__main__":
    main()
