"""Augmentation policies by name: lists of albumentations transforms (2.0.8, the last MIT release).

A policy applies to packed samples, at the size of the networks' input. The reports used 256 pixels; a transform whose
strength is in pixels is stronger on smaller images. Masks are interpolated by nearest neighbor, and pixels from outside
the image are black and background. docs/reports.md compares the policies with the reports.
"""

import os
from collections.abc import Callable

import cv2

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # otherwise importing it looks for a newer version online

import albumentations as A

Policy = list[A.BasicTransform | A.BaseCompose]


def report_a(size: int) -> Policy:
    """Policy of report A, with the library's defaults where it states no value: brightness and contrast ±20 %, gamma
    0.8 to 1.2, noise of 0.2 to 0.44 of the full range, blur with a deviation of 0.5 to 3 pixels."""
    return [
        A.OneOf(
            [A.RandomResizedCrop((size, size), scale=(0.8, 1.0), ratio=(0.75, 1.33), p=1), A.Rotate(limit=30, p=1)],
            p=0.5,
        ),
        A.OneOf([A.HorizontalFlip(p=1), A.VerticalFlip(p=1)], p=0.5),
        A.OneOf([A.RandomBrightnessContrast(p=1), A.RandomGamma(p=1)], p=0.3),
        A.OneOf([A.GaussNoise(p=1), A.GaussianBlur(p=1)], p=0.2),
    ]


def report_b(size: int) -> Policy:
    """Policy of report B, which applied it before resizing: there an image was rotated with its original aspect ratio.

    Values that it does not state are the library's defaults: brightness and contrast ±20 %, then brightness, contrast
    and saturation ±20 % and any hue.
    """
    return [A.HorizontalFlip(p=0.5), A.RandomBrightnessContrast(p=0.5), A.ColorJitter(p=0.5), A.Rotate(limit=15, p=0.5)]


def report_c(size: int) -> Policy:
    """Policy of report C, as its text describes it. torchvision rotates by nearest neighbor.

    A second listing in the report, of its training code, rotates by ±15° instead and translates by ±10 % after the
    crop.
    """
    return [
        A.HorizontalFlip(p=0.5),
        A.Rotate(limit=20, interpolation=cv2.INTER_NEAREST, p=1),
        A.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0, p=1),
        A.RandomResizedCrop((size, size), scale=(0.8, 1.0), ratio=(3 / 4, 4 / 3), p=1),
    ]


def report_d_elastic(size: int) -> Policy:
    """Policy of report D with elastic deformation alone."""
    return [_elastic(p=0.2)]


def report_d_elastic_or_crop(size: int) -> Policy:
    """Policy of report D with elastic deformation or a random crop, enlarged to the full size.

    The report does not state the crop. These are the defaults of its library: 8 to 100 % of the area, aspect ratios of
    3/4 to 4/3.
    """
    return [A.OneOf([_elastic(p=1), A.RandomResizedCrop((size, size), p=1)], p=0.2)]


def _elastic(p: float) -> A.ElasticTransform:
    """torchvision's elastic deformation with alpha 30 and sigma 5, bicubic, as in report D.

    The report states the interpolation; alpha is from its published code, sigma is the default. The displacement is
    uniform noise, blurred with a deviation of 5 pixels, times alpha / 2 pixels: torchvision divides by the size, but
    its coordinates run from -1 to 1.
    """
    return A.ElasticTransform(alpha=30 / 2, sigma=5, interpolation=cv2.INTER_CUBIC, noise_distribution="uniform", p=p)


def petseg(size: int) -> Policy:
    """Our policy: what helped most in short trainings, see benchmarks/recipe.md."""
    return [
        A.HorizontalFlip(p=0.5),
        A.Rotate(limit=15, p=0.5),
        A.RandomResizedCrop((size, size), scale=(0.7, 1.0), ratio=(0.75, 1.33), p=1),
        A.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0, p=0.5),
    ]


POLICIES: dict[str, Callable[[int], Policy]] = {
    "a": report_a,
    "b": report_b,
    "c": report_c,
    "d_elastic": report_d_elastic,
    "d_elastic_or_crop": report_d_elastic_or_crop,
    "petseg": petseg,
    "none": lambda size: [],
}
