"""Packed arrays as validation and test take them: every image once, in order, as it is."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from petseg.data.packed import foreground


def in_order(
    images: np.ndarray, trimaps: np.ndarray, batch_size: int, first: int = 0, every: int = 1
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images (B, H, W, 3) uint8 and masks (B, H, W) bool in order: batch `first` and each `every`-th after it."""
    for start in range(first * batch_size, len(images), every * batch_size):
        chunk = slice(start, start + batch_size)
        # a copy of the images: the map is read-only
        yield torch.from_numpy(np.array(images[chunk])), torch.from_numpy(foreground(trimaps[chunk]))
