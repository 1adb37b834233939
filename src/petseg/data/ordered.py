"""Packed arrays as validation and test take them: every image once, in order, as it is."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor


def foreground(trimaps: np.ndarray) -> np.ndarray:
    """Pet and border (1 and 3) against background (2): bool of the same shape."""
    return trimaps != 2


def in_order(
    images: np.ndarray, trimaps: np.ndarray, batch_size: int, first: int = 0, every: int = 1
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images (B, H, W, 3) uint8 and masks (B, H, W) bool in order: batch `first` and each `every`-th after it."""
    for start in range(first * batch_size, len(images), every * batch_size):
        chunk = slice(start, start + batch_size)
        # a copy of the images: the map is read-only
        yield torch.from_numpy(np.array(images[chunk])), torch.from_numpy(foreground(trimaps[chunk]))
