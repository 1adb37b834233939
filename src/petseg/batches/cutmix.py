"""CutMix (Yun et al. 2019): a patch of a training image, and of its mask, comes from another sample.

For segmentation as in French et al. 2020: the patch is a square inside the image. Its share of the area is uniform in
[0, 1), and so is its position.
"""

from typing import NamedTuple

import numpy as np


class Patch(NamedTuple):
    """The part of an image that is replaced.

    Attributes:
        partner: index of the sample that it is taken from.
        rows, columns: of the square, pixels.
    """

    partner: int
    rows: slice
    columns: slice


def sample_patch(probability: float, samples: int, size: int, rng: np.random.Generator) -> Patch | None:
    """Samples what to replace in one image; None with probability 1 - `probability`.

    Args:
        samples: number of samples to choose the partner from.
        size: height and width of the images, pixels.
        rng: not used if `probability` is 0.
    """
    if probability == 0 or rng.random() >= probability:
        return None
    partner, side = int(rng.integers(samples)), int(size * rng.random() ** 0.5)
    top, left = rng.integers(size - side + 1, size=2).tolist()
    return Patch(partner, slice(top, top + side), slice(left, left + side))
