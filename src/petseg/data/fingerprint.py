"""Identifies the data that a network was trained on by a hash of the packed arrays."""

import hashlib
from pathlib import Path

from petseg.runtime.errors import DataError

TRAINING_ARRAYS = tuple(f"{split}/{array}.npy" for split in ("train", "valid") for array in ("images", "trimaps"))


def training_data(packed: str | Path) -> str:
    """Returns the SHA-256, 64 hex digits, of the packed train and valid arrays in the folder `packed`.

    Raises:
        DataError: an array is missing.
    """
    digest = hashlib.sha256()
    for name in TRAINING_ARRAYS:
        try:
            with open(Path(packed) / name, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except FileNotFoundError as error:
            raise DataError(f"{error.filename} does not exist; run `dvc repro split`, which writes it.") from None
    return digest.hexdigest()
