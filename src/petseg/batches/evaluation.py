"""Batches for validation and test: every image once, in order, without augmentation."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from petseg.data.packed import foreground


def batches_in_order(
    images: np.ndarray, trimaps: np.ndarray, batch_size: int, first: int = 0, step: int = 1
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields batch `first` and every `step`-th batch after it.

    Args:
        images: (N, S, S, 3) uint8.
        trimaps: (N, S, S) uint8, values 1 to 3.

    Yields:
        Images (B, S, S, 3) uint8 and masks (B, S, S) bool, True for pet and border.
    """
    for start in range(first * batch_size, len(images), step * batch_size):
        chunk = slice(start, start + batch_size)
        yield torch.from_numpy(np.array(images[chunk])), torch.from_numpy(foreground(trimaps[chunk]))
