"""Masks without any pet, or without any background: counted, and refused where a result would be meaningless."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from petseg.data.packed import foreground, load_split
from petseg.data.splits import SPLITS, Assignment
from petseg.runtime.errors import DataError


def has_pet(trimaps: np.ndarray) -> np.ndarray:
    """Which of the trimaps (N, S, S) have any pet or border: (N,) bool."""
    return np.array([foreground(trimap).any() for trimap in trimaps], bool)


def check(packed: str | Path, assignments: Sequence[Assignment]) -> str:
    """Looks for packed trimaps without any pet, and for splits that nothing can be learned or scored on.

    Args:
        packed: the folder that `pack` filled.
        assignments: as given to `pack`.

    Returns:
        A line that counts the masks without pet, or an empty one.

    Raises:
        DataError: in one of the splits, no mask has any pet; or all train masks are pet everywhere.
    """
    empty: dict[str, list[str]] = {}
    for split in SPLITS:
        names = [entry.name for entry, name in assignments if name == split]
        trimaps = load_split(split, packed)[1]
        found = has_pet(trimaps)
        if not found.any():
            raise DataError(
                f"None of the {len(names)} {split} masks has any pet, {names[0]} for one, so a result would be "
                "meaningless; look at the masks."
            )
        if split == "train" and all(foreground(trimap).all() for trimap in trimaps):
            raise DataError(
                f"All {len(names)} train masks are pet everywhere, {names[0]} for one, so there is nothing to learn; "
                "look at the masks."
            )
        empty[split] = [name for name, pet in zip(names, found, strict=True) if not pet]
    counts = [f"{len(names)} {split} ({_shortened(names)})" for split, names in empty.items() if names]
    return f"masks without any pet: {', '.join(counts)}" if counts else ""


def _shortened(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
