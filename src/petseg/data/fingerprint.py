"""Which data made these weights: one number for the arrays that training reads."""

import hashlib
from pathlib import Path

TRAINING_ARRAYS = tuple(f"{split}/{array}.npy" for split in ("train", "valid") for array in ("images", "trimaps"))


def training_data(packed: str | Path) -> str:
    """SHA-256, 64 hex digits, of the packed train and valid arrays in the folder `packed`."""
    digest = hashlib.sha256()
    for name in TRAINING_ARRAYS:
        with open(Path(packed) / name, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
