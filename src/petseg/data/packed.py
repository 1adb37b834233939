"""The packed arrays as `petseg.data.pack` writes them, read by memory mapping."""

from pathlib import Path

import numpy as np

from petseg.errors import DataError

PACKED = Path("data/packed")


def load_split(split: str, folder: str | Path = PACKED, size: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Maps one split's packed arrays into memory, read-only.

    Args:
        split: train, valid or test.
        folder: what `pack` filled.
        size: what height and width must be, in pixels; None takes any.

    Returns:
        Images, uint8, (N, size, size, 3); trimaps, uint8, (N, size, size), values 1 to 3.

    Raises:
        DataError: a file is missing, is no array, the two do not belong together, or they are of another size.
    """
    paths = [Path(folder) / split / f"{kind}.npy" for kind in ("images", "trimaps")]
    try:
        photos, trimaps = (np.load(path, mmap_mode="r") for path in paths)
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} does not exist; run `dvc repro split`, which writes it.") from None
    except (ValueError, EOFError) as error:
        raise DataError(f"{paths[0].parent} holds no packed arrays ({error}); run `dvc repro --force split`.") from None
    if photos.dtype != np.uint8 or trimaps.dtype != np.uint8 or photos.shape != (*trimaps.shape, 3):
        raise DataError(
            f"{paths[0]} is {photos.dtype} {photos.shape} and {paths[1].name} {trimaps.dtype} {trimaps.shape}, which "
            "do not belong together; run `dvc repro --force split`."
        )
    if size not in (None, photos.shape[1]):
        raise DataError(f"{folder} is packed at {photos.shape[1]} pixels, image_size is {size}; run `dvc repro split`.")
    return photos, trimaps
