"""Images and trimaps decoded once, resized and packed into arrays that are then read by memory mapping.

FOLDER/{train,valid,test}/images.npy    uint8, (N, size, size, 3), RGB
FOLDER/{train,valid,test}/trimaps.npy   uint8, (N, size, size), values 1 to 3
FOLDER/test/originals.bits              pet and border at the original size, see `original_bits`, one after the other
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from petseg.data import images, layout, packed
from petseg.data.splits import SPLITS, Row
from petseg.runtime import pool

CHUNK_BYTES = 8 * 2**20  # of packed images and trimaps: what a worker holds beside the image it decodes
CHUNK_IMAGES = 32  # at most, so that small images are shared out evenly and the bar moves


class _Chunk(NamedTuple):
    """Consecutive rows of one split, and where they go."""

    raw: Path
    folder: Path
    names: tuple[str, ...]
    start: int  # index of the first within the split
    size: int
    originals: bool  # whether the trimaps are wanted at their original size too


class _Done(NamedTuple):
    """What the chunk's worker leaves to the process that it works for."""

    sizes: list[tuple[int, int]]  # original (width, height) of each image
    originals: bytes  # bits of all trimaps, where they are wanted


def pack(raw: str | Path, rows: Sequence[Row], size: int, folder: str | Path, workers: int) -> list[tuple[int, int]]:
    """Writes the packed arrays of all three splits, each in the order of `rows`, and shows a bar on a terminal.

    Each worker writes its own slices of the files. Memory is bounded by a chunk a worker and not by the set.

    Args:
        raw: folder in the official layout.
        rows: (entry, split) of each image, as `splits.split` returns them.
        size: height and width of what is packed, in pixels.
        folder: what to fill; exists, and is moved into place by the caller.
        workers: processes, at least 1; with 1 this very process does the work.

    Returns:
        Original (width, height) of each row's image, in pixels.

    Raises:
        DataError: an image or a trimap cannot be used: the first such in the order of `rows`.
        PetsegError: a worker process was killed.
        OSError: the files cannot be written.
    """
    chunks = [chunk for name in SPLITS for chunk in _prepare(Path(raw), rows, name, size, Path(folder))]
    sizes: dict[str, tuple[int, int]] = {}
    with (
        open(Path(folder) / packed.ORIGINALS, "wb") as originals,
        tqdm(total=len(rows), desc=f"packing at {size} x {size}", unit=" images", disable=None) as bar,
        pool.in_order(_pack_chunk, chunks, workers) as results,
    ):
        for chunk, done in zip(chunks, results, strict=True):
            sizes.update(zip(chunk.names, done.sizes, strict=True))
            originals.write(done.originals)
            bar.update(len(chunk.names))
    return [sizes[entry.name] for entry, _ in rows]


def _prepare(raw: Path, rows: Sequence[Row], split: str, size: int, folder: Path) -> Iterator[_Chunk]:
    """Makes one split's two files, empty but of full length, and yields the chunks that will fill them."""
    names = [entry.name for entry, name in rows if name == split]
    (folder / split).mkdir()
    for kind, shape in (("images", (len(names), size, size, 3)), ("trimaps", (len(names), size, size))):
        np.lib.format.open_memmap(folder / split / f"{kind}.npy", "w+", np.uint8, shape)
    step = max(1, min(CHUNK_IMAGES, CHUNK_BYTES // (4 * size * size)))
    for start in range(0, len(names), step):
        yield _Chunk(raw, folder / split, tuple(names[start : start + step]), start, size, split == "test")


def _pack_chunk(chunk: _Chunk) -> _Done:
    """Decodes, resizes and writes one chunk, but for the originals, whose place in their file the parent knows."""
    size = chunk.size
    photos = np.empty((len(chunk.names), size, size, 3), np.uint8)
    trimaps = np.empty((len(chunk.names), size, size), np.uint8)
    sizes, originals = [], []
    for i, name in enumerate(chunk.names):
        image, trimap = images.read_pair(layout.image_path(chunk.raw, name), layout.trimap_path(chunk.raw, name))
        photos[i] = images.resize_image(image, size)
        trimaps[i] = images.resize_trimap(trimap, size)
        sizes.append((image.shape[1], image.shape[0]))
        if chunk.originals:
            originals.append(original_bits(trimap))
    _write_rows(chunk.folder / "images.npy", photos, chunk.start)
    _write_rows(chunk.folder / "trimaps.npy", trimaps, chunk.start)
    return _Done(sizes, b"".join(originals))


def original_bits(trimap: np.ndarray) -> bytes:
    """A bit a pixel, row by row from the highest bit on, 1 for pet and border; to be read by `packed.Originals`."""
    return np.packbits(packed.foreground(trimap)).tobytes()


def _write_rows(path: Path, rows: np.ndarray, start: int) -> None:
    """Overwrites rows `start`, `start` + 1, ... of a .npy file.

    By write and not through a mapping: a full disk is then an error to report and not a fatal signal, and pages that
    await the disk do not count as this process's memory.
    """
    offset = np.load(path, mmap_mode="r").offset
    with open(path, "r+b") as file:
        file.seek(offset + start * rows[0].nbytes)
        file.write(rows.data)
