"""Reading the arrays written by `petseg.data.pack`, by memory mapping."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np

from petseg.runtime.errors import DataError

Array = TypeVar("Array")

PACKED = Path("data/packed")
ORIGINALS = "test/originals.bits"


def foreground(trimaps: Array) -> Array:
    """The mask of a trimap, numpy or torch: bool of the same shape, True for pet (1) and border (3)."""
    return trimaps != 2  # pyright: ignore[reportReturnType]


def load_split(split: str, folder: str | Path = PACKED, size: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Maps the packed arrays of one split into memory, read-only.

    Args:
        split: train, valid or test.
        folder: filled by `pack`.
        size: expected height and width, in pixels; None accepts any.

    Returns:
        Images, uint8, (N, size, size, 3); trimaps, uint8, (N, size, size), values 1 to 3.

    Raises:
        DataError: a file is missing or damaged, or the arrays have another size.
    """
    photos, trimaps = (open_array(Path(folder) / split / f"{array}.npy") for array in ("images", "trimaps"))
    if size not in (None, photos.shape[1]):
        raise DataError(
            f"{folder} is packed at {photos.shape[1]} pixels, but image_size is {size}; run `dvc repro split`."
        )
    return photos, trimaps


def open_array(path: Path) -> np.memmap:
    """Maps one packed array into memory, read-only; raises the DataError of `load_split`."""
    try:
        return np.load(path, mmap_mode="r")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; run `dvc repro split`, which writes it.") from None
    except (EOFError, ValueError):
        raise DataError(f"{path} is damaged; run `dvc repro --force split`, which writes it again.") from None


def check_trimaps(values: np.ndarray, path: str | Path) -> None:
    """Raises DataError if some values of the trimaps in `path`, such as zeros after a power cut, are not 1, 2 or 3."""
    if values.min() < 1 or values.max() > 3:
        raise DataError(
            f"{path} holds values other than 1, 2 and 3, so it is damaged; run `dvc repro --force split`, which writes "
            "it again."
        )


class Originals:
    """The trimaps of the test images at original size: `originals[i]` is uint8 (h, w), values 1 to 3.

    Args:
        sizes: (width, height) of each image in pixels, in the order of splits.csv.
        folder: filled by `pack`.

    Raises:
        DataError: the file is missing.
    """

    def __init__(self, sizes: Iterable[tuple[int, int]], folder: str | Path = PACKED) -> None:
        path = Path(folder) / ORIGINALS
        self._shapes = [(height, width) for width, height in sizes]
        self._ends = np.cumsum([2 * -(-height * width // 8) for height, width in self._shapes])
        try:
            self._bytes = np.asarray(np.memmap(path, np.uint8, "r"))
        except FileNotFoundError:
            raise DataError(f"{path} does not exist; run `dvc repro split`, which writes it.") from None

    def __getitem__(self, index: int) -> np.ndarray:
        height, width = self._shapes[index]
        planes = self._bytes[: self._ends[index]][-2 * -(-height * width // 8) :].reshape(2, -1)
        low, high = np.unpackbits(planes, axis=1, count=height * width)
        return (low + 2 * high).reshape(height, width)
