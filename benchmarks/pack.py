"""Time and memory of packing a set as large as Oxford-IIIT Pet.

Draws as many images as the official lists name, of about 500 x 375 pixels and about as heavy as the real ones (100 kB),
and packs them with `petseg.data.pack`. Drawing is not timed. Prints a row for benchmarks/pack.md:

    python benchmarks/pack.py [--images 7349] [--size 256] [--workers 2] [--folder FOLDER]

Memory is the sum of the proportional set sizes (PSS) of this process and its workers, sampled twenty times a second:
resident memory, of which a page that several of them share counts once.
"""

import argparse
import os
import subprocess
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

ROOT = Path(__file__).resolve().parents[1]
LISTS = Path(os.environ.get("PETSEG_TEST_DATA", "")) / "official-lists"
SIZES = ((500, 375), (375, 500), (500, 333), (500, 400), (333, 500), (500, 500), (600, 450), (300, 225))
HEADER = (
    "| date | commit | machine | images | pixels | workers | seconds | images/s | peak memory, MiB (PSS) |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=7349, help="number of images, at most 7349")
    parser.add_argument("--size", type=int, default=256, help="height and width of the packed images, pixels")
    parser.add_argument("--workers", type=int, default=machine.workers(), help="processes")
    parser.add_argument("--folder", type=Path, help="where to draw and pack, 3 GB at the defaults")
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
    print(f"{len(rows)} images of {weight / 1000:.0f} kB on average\n\n{HEADER}")
    print(
        f"| {datetime.now(UTC):%Y-%m-%d} | {commit()} | {cpu()} | {len(rows)} | {options.size} | {options.workers} "
        f"| {seconds:.1f} | {len(rows) / seconds:.0f} | {peak['bytes'] / 2**20:.0f} |"
    )


def draw(raw: Path, number: int, workers: int) -> None:
    """Draws `number` images in the official layout, under the official names if PETSEG_TEST_DATA has the lists."""
    for folder in (raw / "images", raw / "annotations" / "trimaps"):
        folder.mkdir(parents=True)
    test = number * 3669 // 7349
    counts = {"trainval.txt": number - test, "test.txt": test}
    names = []
    for list_name, count in counts.items():
        lines = list_lines(list_name, count)
        (raw / "annotations" / list_name).write_text("\n".join(lines) + "\n")
        names += [line.split()[0] for line in lines]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        list(pool.map(draw_pet, [raw] * len(names), names, range(len(names)), chunksize=32))


def list_lines(list_name: str, count: int) -> list[str]:
    """The first `count` lines of an official list, or that many made up."""
    if (LISTS / list_name).is_file():
        return (LISTS / list_name).read_text().splitlines()[:count]
    return [f"{list_name.removesuffix('.txt')}_{i} 1 1 1" for i in range(count)]


def draw_pet(raw: Path, name: str, seed: int) -> None:
    """One photograph: soft light, coarse clutter and fine grain under an ellipse; and its trimap."""
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
    """Yields a dict whose `bytes` is the highest memory of this process and its children meanwhile."""
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
    """Proportional set size in bytes (resident size where the system has none); 0 for a process that has ended."""
    try:
        usage = process.memory_full_info()
    except psutil.Error:
        return 0
    return getattr(usage, "pss", usage.rss)


def commit() -> str:
    """The checked-out commit, marked where the tree differs from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "none"


def cpu() -> str:
    """Model and number of cores."""
    import torch  # here, since the workers import this module too

    return f"{machine.describe(torch.device('cpu'))['device_name']}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
