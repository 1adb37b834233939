"""Augmentation policies by name, as lists of albumentations' transforms (2.0.8, the last MIT release).

Images and masks come here as they are packed, at the size that the networks see, so every policy works after the
resize. The reports' size was 256: a policy that speaks of pixels does more to a smaller image.
"""

import os
from typing import Any

import numpy as np

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it asks the network for a newer version

import albumentations as A
from albumentations.augmentations.geometric import functional as _geometry

Policy = list[A.BasicTransform | A.OneOf]  # all of them in turn; of OneOf one or none


class Rotate(A.Rotate):
    """`A.Rotate`, to the bit, but it makes no matrix for boxes, and does not ask first whether the matrix turns at all:
    on a small image each takes as long as the turn.
    """

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        none, whole = {"x": 0, "y": 0}, {"x": 1, "y": 1}
        angle, center = self.py_random.uniform(*self.limit), _geometry.center(params["shape"][:2])
        matrix = _geometry.create_affine_transformation_matrix(none, none, whole, angle, center)
        return {"matrix": matrix, "x_min": -1, "x_max": -1, "y_min": -1, "y_max": -1}  # -1: nothing is cut off

    def apply(self, img: np.ndarray, matrix: np.ndarray, **params: Any) -> np.ndarray:
        how = self.interpolation, self.border_mode, self.fill
        return _geometry.warp_affine_with_value_extension(img, matrix[:2], img.shape[1::-1], *how)

    def apply_to_mask(self, mask: np.ndarray, matrix: np.ndarray, **params: Any) -> np.ndarray:
        how = self.mask_interpolation, self.border_mode, self.fill_mask
        return _geometry.warp_affine_with_value_extension(mask, matrix[:2], mask.shape[1::-1], *how)


def _report_a(size: int) -> Policy:
    """Report A's list; values it does not state are the library's."""
    return [
        A.OneOf(
            [A.RandomResizedCrop((size, size), scale=(0.8, 1.0), ratio=(0.75, 1.33), p=1), Rotate(limit=30, p=1)],
            p=0.5,
        ),
        A.OneOf([A.HorizontalFlip(p=1), A.VerticalFlip(p=1)], p=0.5),
        A.OneOf([A.RandomBrightnessContrast(p=1), A.RandomGamma(p=1)], p=0.3),
        A.OneOf([A.GaussNoise(p=1), A.GaussianBlur(p=1)], p=0.2),
    ]


def _report_b(size: int) -> Policy:
    """Report B's list. It came before the resize there: the turn was of a picture that was not stretched yet.

    Values it does not state are the library's: brightness and contrast ±0.2, then 0.8 to 1.2 times both and saturation
    and any hue, black where a turn looks past the edge.
    """
    return [
        A.HorizontalFlip(p=0.5),
        A.RandomBrightnessContrast(p=0.5),
        A.ColorJitter(p=0.5),
        Rotate(limit=15, p=0.5),
    ]


def _report_c(size: int) -> Policy:
    """Report C's list of torchvision's transforms: all but the flip happen to every image.

    Torchvision's crops have ratios of 3/4 to 4/3 and its shifts are of whole pixels; both are so here. Its turns take
    the nearest pixel, here they are bilinear.
    """
    return [
        A.HorizontalFlip(p=0.5),
        Rotate(limit=20, p=1),
        A.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0, p=1),
        A.RandomResizedCrop((size, size), scale=(0.8, 1.0), p=1),
        A.Affine(translate_percent={"x": (-0.1, 0.1), "y": (-0.1, 0.1)}, p=1),
    ]


def _report_d_elastic(size: int) -> Policy:
    return [_elastic(p=0.2)]


def _report_d_elastic_or_crop(size: int) -> Policy:
    """The report says of its crop only that a random part is enlarged to the whole. The libraries' own: 8 to 100 % of
    the area, ratios of 3/4 to 4/3.
    """
    return [A.OneOf([_elastic(p=1), A.RandomResizedCrop((size, size), p=1)], p=0.2)]


def _elastic(p: float) -> A.ElasticTransform:
    """Report D's, torchvision's with alpha 30: uniform noise, blurred with its sigma of 5 pixels, times 15 pixels.

    Torchvision's alpha is in halves of a pixel: it divides by the size, but places run from -1 to 1. Both are
    bilinear between pixels.
    """
    return A.ElasticTransform(alpha=30 / 2, sigma=5, noise_distribution="uniform", p=p)


def _ours(size: int) -> Policy:
    """What paid most in short trainings, see benchmarks/recipe.md: mild changes of place, size and light."""
    return [
        A.HorizontalFlip(p=0.5),
        Rotate(limit=15, p=0.5),
        A.RandomResizedCrop((size, size), scale=(0.7, 1.0), ratio=(0.75, 1.33), p=1),
        A.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0, p=0.5),
    ]


POLICIES = {
    "a": _report_a,
    "b": _report_b,
    "c": _report_c,
    "d_elastic": _report_d_elastic,
    "d_elastic_or_crop": _report_d_elastic_or_crop,
    "petseg": _ours,
    "none": lambda size: [],
}
