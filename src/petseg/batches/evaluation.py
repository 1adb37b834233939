"""Batches for validation and test: every image once, in order, without augmentation."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from petseg.data.packed import foreground


def batches_in_order(
    images: np.ndarray, trimaps: np.ndarray, batch_size: int, first: int = 0, step: int = 1
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields images (B, H, W, 3) uint8 and masks (B, H, W) bool of the batches `first`, `first + step` and so on.

    Args:
        images: (N, H, W, 3) uint8, may be memory-mapped.
        trimaps: (N, H, W) uint8.
        batch_size: B; the last batch may be smaller.
    """
    for start in range(first * batch_size, len(images), step * batch_size):
        batch = slice(start, start + batch_size)
        # a copy, since a read-only array must not become a tensor
        yield torch.from_numpy(np.array(images[batch])), torch.from_numpy(foreground(trimaps[batch]))
