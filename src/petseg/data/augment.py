"""Augmentation policies by name: the one module that knows albumentations (2.0.8, the last MIT release)."""

import os
import random

import numpy as np

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it asks the network for a newer version

import albumentations as A


def _report_a(size: int) -> list[A.BasicTransform | A.BaseCompose]:
    """Report A's list, applied after the resize; values it does not state are the library's."""
    return [
        A.OneOf(
            [A.RandomResizedCrop((size, size), scale=(0.8, 1.0), ratio=(0.75, 1.33), p=1), A.Rotate(limit=30, p=1)],
            p=0.5,
        ),
        A.OneOf([A.HorizontalFlip(p=1), A.VerticalFlip(p=1)], p=0.5),
        A.OneOf([A.RandomBrightnessContrast(p=1), A.RandomGamma(p=1)], p=0.3),
        A.OneOf([A.GaussNoise(p=1), A.GaussianBlur(p=1)], p=0.2),
    ]


POLICIES = {"a": _report_a, "none": lambda size: []}


class Augment:
    """Augments one sample by a named policy.

    Args:
        policy: a key of `POLICIES`.
        size: height and width of image and mask, pixels.
    """

    def __init__(self, policy: str, size: int) -> None:
        self._compose = A.Compose(POLICIES[policy](size))

    def __call__(self, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Moves image and mask together; the result depends on the arguments alone.

        Args:
            image: uint8 (size, size, 3).
            mask: uint8 (size, size), 1 pet, 0 background.
            rng: where all chance comes from.

        Returns:
            Both, of the same shapes and dtypes. Where a rotation looks past the edge, the image is black and the mask
            background.
        """
        # Not Compose(seed=...): in 2.0.8 it gives every transform the same stream, so that all fire or none.
        self._compose.set_random_state(rng, random.Random(int(rng.integers(2**63))))
        moved = self._compose(image=image, mask=mask)
        return moved["image"], moved["mask"]
