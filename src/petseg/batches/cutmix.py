"""CutMix (Yun et al. 2019): a patch of a training image, and of its mask, comes from another sample.

For segmentation as in French et al. 2020: the patch is a square inside the image. Its share of the area is uniform in
[0, 1), and so is its position.
"""

import numpy as np


def sample_patch(
    probability: float, samples: int, size: int, rng: np.random.Generator
) -> tuple[int, tuple[slice, slice]] | None:
    """Samples what to replace in one image; None with probability 1 - `probability`.

    Args:
        samples: number of samples to choose the partner from.
        size: height and width of the images, pixels.
        rng: not used if `probability` is 0.

    Returns:
        Index of the sample that the patch is taken from, and the patch: its rows and columns.
    """
    if probability == 0 or rng.random() >= probability:
        return None
    partner, side = int(rng.integers(samples)), int(size * rng.random() ** 0.5)
    top, left = rng.integers(size - side + 1, size=2).tolist()
    return partner, (slice(top, top + side), slice(left, left + side))
