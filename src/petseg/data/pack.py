"""Decodes and resizes all images and trimaps once, and packs them into arrays that are read by memory mapping.

FOLDER/{train,valid,test}/images.npy    uint8, (N, size, size, 3), RGB
FOLDER/{train,valid,test}/trimaps.npy   uint8, (N, size, size), values 1 to 3
FOLDER/test/originals.bits              trimaps of the test images at original size, see `original_bits`, concatenated
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from petseg.data import images, layout, packed
from petseg.data.splits import SPLITS, Assignment
from petseg.runtime import pool

CHUNK = 8  # packed images that a worker holds in memory, besides the one it decodes


class _Chunk(NamedTuple):
    """Consecutive images of one split, packed by one worker."""

    raw: Path
    folder: Path  # of the split
    names: tuple[str, ...]
    start: int  # index of the first image within the split
    size: int
    originals: bool  # whether to return the trimaps at original size too


def pack(
    raw: str | Path, assignments: Sequence[Assignment], size: int, folder: str | Path, workers: int
) -> list[tuple[int, int]]:
    """Writes the packed arrays of all three splits, each in the order of `assignments`; shows a progress bar.

    Workers write their images into the files directly, so memory is bounded by one chunk per worker.

    Args:
        raw: folder in the official layout.
        assignments: as returned by `splits.split`.
        size: height and width of the packed images, in pixels.
        folder: an existing, empty folder.
        workers: processes, at least 1; with 1, this process does the work.

    Returns:
        Original (width, height) of each image, in pixels, in the order of `assignments`.

    Raises:
        DataError: an image or a trimap cannot be used. The first in the order of `assignments` is named.
        PetsegError: a worker process was killed.
        OSError: the files cannot be written.
    """
    chunks = [chunk for name in SPLITS for chunk in _prepare(Path(raw), assignments, name, size, Path(folder))]
    sizes = []
    with (
        open(Path(folder) / packed.ORIGINALS, "wb") as originals,
        tqdm(total=len(assignments), desc=f"packing at {size} x {size}", unit=" images", disable=None) as bar,
        pool.in_order(_pack_chunk, chunks, workers) as results,
    ):
        for chunk, (chunk_sizes, bits) in zip(chunks, results, strict=True):
            sizes += chunk_sizes
            originals.write(bits)
            bar.update(len(chunk.names))
    return sizes


def original_bits(trimap: np.ndarray) -> bytes:
    """Packs a trimap: the low bit of every pixel, row by row, then the high bit; read by `packed.Originals`."""
    return b"".join(np.packbits(trimap & bit).tobytes() for bit in (1, 2))


def _prepare(raw: Path, assignments: Sequence[Assignment], split: str, size: int, folder: Path) -> Iterator[_Chunk]:
    """Creates the two files of one split at full length, and yields the chunks that fill them."""
    names = [entry.name for entry, name in assignments if name == split]
    (folder / split).mkdir()
    for array, shape in (("images", (len(names), size, size, 3)), ("trimaps", (len(names), size, size))):
        np.lib.format.open_memmap(folder / split / f"{array}.npy", "w+", np.uint8, shape)
    for start in range(0, len(names), CHUNK):
        yield _Chunk(raw, folder / split, tuple(names[start : start + CHUNK]), start, size, split == "test")


def _pack_chunk(chunk: _Chunk) -> tuple[list[tuple[int, int]], bytes]:
    """Decodes, resizes and writes the images of one chunk; returns original (width, height) of each, and trimap bits.

    The bits are returned because only the parent knows where in the file they belong.
    """
    size = chunk.size
    photos = np.empty((len(chunk.names), size, size, 3), np.uint8)
    trimaps = np.empty((len(chunk.names), size, size), np.uint8)
    sizes, bits = [], []
    for i, name in enumerate(chunk.names):
        image, trimap = images.read_pair(layout.image_path(chunk.raw, name), layout.trimap_path(chunk.raw, name))
        photos[i] = images.resize_image(image, size)
        trimaps[i] = images.resize_trimap(trimap, size)
        sizes.append((image.shape[1], image.shape[0]))
        if chunk.originals:
            bits.append(original_bits(trimap))
    _write_slice(chunk.folder / "images.npy", photos, chunk.start)
    _write_slice(chunk.folder / "trimaps.npy", trimaps, chunk.start)
    return sizes, b"".join(bits)


def _write_slice(path: Path, values: np.ndarray, start: int) -> None:
    """Overwrites the elements from index `start` of a .npy file.

    Writes to the file and not to a memory map: a full disk is then an exception and not a fatal signal, and pages
    waiting for the disk do not count as memory of this process.
    """
    offset = np.load(path, mmap_mode="r").offset
    with open(path, "r+b") as file:
        file.seek(offset + start * values[0].nbytes)
        file.write(values.data)
