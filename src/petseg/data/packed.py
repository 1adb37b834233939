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
        DataError: a file is missing or not an array, the two arrays do not match, or they have another size.
    """
    paths = [Path(folder) / split / f"{array}.npy" for array in ("images", "trimaps")]
    try:
        photos, trimaps = (np.load(path, mmap_mode="r") for path in paths)
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} does not exist; run `dvc repro split`, which writes it.") from None
    except (ValueError, EOFError) as error:
        raise DataError(f"{paths[0].parent} holds no packed arrays ({error}); run `dvc repro --force split`.") from None
    if photos.dtype != np.uint8 or trimaps.dtype != np.uint8 or photos.shape != (*trimaps.shape, 3):
        raise DataError(
            f"{paths[0]} is {photos.dtype} {photos.shape} and {paths[1].name} {trimaps.dtype} {trimaps.shape}, which "
            "do not match; run `dvc repro --force split`."
        )
    if size not in (None, photos.shape[1]):
        raise DataError(
            f"{folder} is packed at {photos.shape[1]} pixels, but image_size is {size}; run `dvc repro split`."
        )
    return photos, trimaps


class Originals:
    """The masks of the test images at original size: `originals[i]` is bool (h, w), True for pet and border.

    Args:
        sizes: (width, height) of each image in pixels, in the order of splits.csv.
        folder: filled by `pack`.

    Raises:
        DataError: the file is missing or belongs to other images.
    """

    def __init__(self, sizes: Iterable[tuple[int, int]], folder: str | Path = PACKED) -> None:
        path = Path(folder) / ORIGINALS
        self._shapes = [(height, width) for width, height in sizes]
        self._ends = np.cumsum([-(-height * width // 8) for height, width in self._shapes])
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            raise DataError(f"{path} does not exist; run `dvc repro split`, which writes it.") from None
        if size != self._ends[-1]:
            raise DataError(
                f"{path} has {size} bytes, but the test images of data/splits.csv need {self._ends[-1]}; run "
                "`dvc repro --force split`."
            )
        self._bytes = np.asarray(np.memmap(path, np.uint8, "r"))

    def __getitem__(self, index: int) -> np.ndarray:
        height, width = self._shapes[index]
        end = self._ends[index]
        bits = np.unpackbits(self._bytes[end - -(-height * width // 8) : end], count=height * width)
        return bits.view(bool).reshape(height, width)
