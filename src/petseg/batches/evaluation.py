"""Packed arrays as validation and test take them: every image once, in order, as it is."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from petseg.data.packed import foreground

Arrays = tuple[np.ndarray, np.ndarray] | tuple[Tensor, Tensor]  # images and trimaps of a split


def in_order(split: Arrays, batch_size: int, first: int = 0, every: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
    """Images (B, H, W, 3) uint8 and masks (B, H, W) bool in order: batch `first` and each `every`-th after it.

    Args:
        split: images (N, H, W, 3) and trimaps (N, H, W), uint8; arrays, or tensors as `on_device.hold` makes them.
    """
    images, trimaps = split
    for start in range(first * batch_size, len(images), every * batch_size):
        chunk = slice(start, start + batch_size)
        if isinstance(images, Tensor):
            yield images[chunk], foreground(trimaps[chunk])
        else:  # a copy of the images: the map is read-only
            yield torch.from_numpy(np.array(images[chunk])), torch.from_numpy(foreground(trimaps[chunk]))
