"""Images with equal pixels in several splits."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from petseg.data import packed
from petseg.data.splits import SPLITS, Assignment


def crossing(folder: str | Path, assignments: Sequence[Assignment]) -> list[tuple[str, ...]]:
    """Returns groups of images that are equal after resizing and are not all in one split.

    It takes a fraction of a second. Copies that were compressed or cropped again are found by `petseg audit`.

    Args:
        folder: filled by `pack.pack`.
        assignments: the images in `folder`, in its order.

    Returns:
        The names of each group, in the order of `assignments`.
    """
    groups: dict[bytes, list[Assignment]] = defaultdict(list)
    for split in SPLITS:
        images, _ = packed.load_split(split, folder)
        own = (assignment for assignment in assignments if assignment.split == split)
        for assignment, image in zip(own, images, strict=True):
            groups[hashlib.sha256(image).digest()].append(assignment)
    return [
        tuple(assignment.entry.name for assignment in group)
        for group in groups.values()
        if len({assignment.split for assignment in group}) > 1
    ]
