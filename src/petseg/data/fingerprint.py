"""Identifies the data that a network was trained on by a hash of the packed arrays, and checks the trimaps."""

import hashlib
from pathlib import Path

import numpy as np

from petseg.data import packed

ARRAYS = ("images", "trimaps")
TRAINING_ARRAYS = tuple(f"{split}/{array}.npy" for split in ("train", "valid") for array in ARRAYS)

_CHUNK = 1 << 18  # bytes; still in the processor's cache when the values are checked


def training_data(folder: str | Path) -> str:
    """Returns the SHA-256, 64 hex digits, of the packed train and valid arrays in `folder`.

    Raises:
        DataError: an array is missing or damaged, or a trimap has a value other than 1, 2 and 3.
    """
    digest = hashlib.sha256()
    for name in TRAINING_ARRAYS:
        digest.update(_hash(Path(folder) / name))
    return digest.hexdigest()


def _hash(path: Path) -> bytes:
    """The SHA-256 of a file of packed arrays, whose values are checked on the way if they are trimaps."""
    start = packed.open_array(path).offset
    buffer = bytearray(_CHUNK)
    values = np.frombuffer(buffer, np.uint8)
    with open(path, "rb", buffering=0) as file:
        digest = hashlib.sha256(file.read(start))
        while read := file.readinto(buffer):
            digest.update(memoryview(buffer)[:read])
            if path.name == "trimaps.npy":
                packed.check_trimaps(values[:read], path)
    return digest.digest()
