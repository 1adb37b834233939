"""CutMix (Yun et al. 2019): a part of a train image, and of its mask, is that of another one.

For segmentation as in French et al. 2020: what is cut has the shape of the image and lies wholly in it. Its share of
the area is uniform between 0 and 1, as is its place.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Patch(NamedTuple):
    """What is taken from another sample.

    Attributes:
        partner: that sample's index.
        top, left, side: of the square, pixels.
    """

    partner: int
    top: int
    left: int
    side: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return slice(self.top, self.top + self.side), slice(self.left, self.left + self.side)


def draw(probability: float, samples: int, size: int, rng: np.random.Generator) -> Patch | None:
    """What to take for one sample, None for nothing; without a chance of it nothing is drawn from `rng`.

    Args:
        samples: how many there are to take from.
        size: height and width of the images, pixels.
    """
    if probability == 0 or rng.random() >= probability:
        return None
    partner, side = int(rng.integers(samples)), int(size * rng.random() ** 0.5)
    return Patch(partner, *rng.integers(size - side + 1, size=2).tolist(), side)


@torch.no_grad()
def apply(images: Tensor, masks: Tensor, places: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
    """Puts patches into a batch, on any device, without waiting for it.

    Args:
        images: (B + P, 3, H, W), those of the batch, then those that patches are taken from.
        masks: (B + P, 1, H, W).
        places: int64 (P,), where in the batch each goes to; no place twice.
        patches: int64 (P, 3), top, left and side of each.

    Returns:
        Images (B, 3, H, W) and masks (B, 1, H, W), which take the memory of the arguments.
    """
    count = len(images) - len(places)
    top, left, side = patches[:, :, None].unbind(1)  # (P, 1) each
    down, across = (torch.arange(length, device=images.device) for length in images.shape[2:])
    rows = (down >= top) & (down < top + side)  # (P, H)
    columns = (across >= left) & (across < left + side)  # (P, W)
    inside = (rows[:, :, None] & columns[:, None, :])[:, None]  # (P, 1, H, W)
    for whole in (images, masks):
        mixed = torch.where(inside, whole[count:], whole.index_select(0, places))
        whole.index_copy_(0, places, mixed)
    return images[:count], masks[:count]
