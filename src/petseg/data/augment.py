"""Augmentation policies by name: the one module that knows albumentations (2.0.8, the last MIT release).

Images and masks come here as they are packed, at the size that the networks see, so every policy works after the
resize. The reports' size was 256: a policy that speaks of pixels does more to a smaller image.
"""

import copy
import os
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it asks the network for a newer version

import albumentations as A
import cv2

Transforms = list[A.BasicTransform | A.BaseCompose]


def _report_a(size: int) -> Transforms:
    """Report A's list; values it does not state are the library's."""
    return [
        A.OneOf(
            [A.RandomResizedCrop((size, size), scale=(0.8, 1.0), ratio=(0.75, 1.33), p=1), A.Rotate(limit=30, p=1)],
            p=0.5,
        ),
        A.OneOf([A.HorizontalFlip(p=1), A.VerticalFlip(p=1)], p=0.5),
        A.OneOf([A.RandomBrightnessContrast(p=1), A.RandomGamma(p=1)], p=0.3),
        A.OneOf([A.GaussNoise(p=1), A.GaussianBlur(p=1)], p=0.2),
    ]


def _report_b(size: int) -> Transforms:
    """Report B's list. It came before the resize there: the turn was of a picture that was not stretched yet.

    Values it does not state are the library's: brightness and contrast ±0.2, then 0.8 to 1.2 times both and saturation
    and any hue, black where a turn looks past the edge.
    """
    return [
        A.HorizontalFlip(p=0.5),
        A.RandomBrightnessContrast(p=0.5),
        A.ColorJitter(p=0.5),
        A.Rotate(limit=15, p=0.5),
    ]


def _report_c(size: int) -> Transforms:
    """Report C's list of torchvision's transforms: all but the flip happen to every image.

    Torchvision's crops have ratios of 3/4 to 4/3 and its shifts are of whole pixels; both are so here. Its turns take
    the nearest pixel, here they are bilinear.
    """
    return [
        A.HorizontalFlip(p=0.5),
        A.Rotate(limit=20, p=1),
        A.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0, p=1),
        A.RandomResizedCrop((size, size), scale=(0.8, 1.0), p=1),
        A.Affine(translate_percent={"x": (-0.1, 0.1), "y": (-0.1, 0.1)}, p=1),
    ]


def _report_d_elastic(size: int) -> Transforms:
    return [_elastic(p=0.2)]


def _report_d_elastic_or_crop(size: int) -> Transforms:
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


POLICIES = {
    "a": _report_a,
    "b": _report_b,
    "c": _report_c,
    "d_elastic": _report_d_elastic,
    "d_elastic_or_crop": _report_d_elastic_or_crop,
    "none": lambda size: [],
}


class Operation(NamedTuple):
    """One change of one sample, in numbers that need neither the image nor albumentations.

    Attributes:
        stage: which entry of the policy's list asked for it, and which of that entry's operations it is, both from 0.
        kind: how to read `value`, see `petseg.data.augment_batch.OPERATIONS`.
        value: its numbers.
    """

    stage: tuple[int, int]
    kind: str
    value: np.ndarray


Record = list[Operation]  # all that happens to one sample, in order of the stages, which differ


class Augment:
    """Augments one sample by a named policy.

    Args:
        policy: a key of `POLICIES`.
        size: height and width of image and mask, pixels.

    Raises:
        NotImplementedError: the policy holds what `draw` cannot put into numbers.
    """

    def __init__(self, policy: str, size: int) -> None:
        self._compose = A.Compose(POLICIES[policy](size))
        self._drawn: Record = []
        self._draft = copy.deepcopy(self._compose)
        for stage, entry in enumerate(self._draft.transforms):
            for transform in entry.transforms if isinstance(entry, A.OneOf) else [entry]:
                transform.apply_with_params = _Note(transform, stage, self._drawn)
        self._any_image = np.zeros((size, size, 3), np.uint8)  # the rules below rest on its shape and type alone

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
        _seed(self._compose, rng)
        moved = self._compose(image=image, mask=mask)
        return moved["image"], moved["mask"]

    def draw(self, rng: np.random.Generator) -> Record:
        """What `__call__` would do with the same `rng`, for `petseg.data.augment_batch`; leaves `rng` as it would."""
        self._drawn.clear()
        _seed(self._draft, rng)
        self._draft(image=self._any_image)
        return self._drawn.copy()


def _seed(compose: A.Compose, rng: np.random.Generator) -> None:
    # Not Compose(seed=...): in 2.0.8 it gives every transform the same stream, so that all fire or none.
    compose.set_random_state(rng, random.Random(int(rng.integers(2**63))))


class _Note:
    """Takes the place of a transform's `apply_with_params`: writes down what it would do and leaves pixels alone."""

    def __init__(self, transform: A.BasicTransform, stage: int, drawn: Record) -> None:
        name = type(transform).__name__
        if type(transform) not in _RULES:
            raise NotImplementedError(f"{name} cannot be done to batches; give it a rule in petseg.data.augment.")
        self.rule, settings = _RULES[type(transform)]
        for key, needed in settings.items():
            if getattr(transform, key) != needed:
                raise NotImplementedError(f"{name} can be done to batches only where {key} is {needed!r}.")
        self.transform, self.stage, self.drawn = transform, stage, drawn

    def __call__(self, params: dict[str, Any], **data: np.ndarray) -> dict[str, np.ndarray]:
        for place, (kind, value) in enumerate(self.rule(self.transform, params)):
            self.drawn.append(Operation((self.stage, place), kind, value))
        return data


Changes = list[tuple[str, np.ndarray]]  # kind and value of each operation that a transform asks for

_LEVELS = np.arange(256, dtype=np.uint8)[None]  # an image of one row that holds each grey level


def _crop(transform: A.RandomResizedCrop, params: dict[str, Any]) -> Changes:
    """A "warp" as cv2.resize does it: the image by pixel centres, the mask by floor(left + x * scale)."""
    left, top, right, bottom = params["crop_coords"]
    height, width = transform.size
    across, down = (right - left) / width, (bottom - top) / height
    # The mask's place is rounded later: - 0.5 makes that a floor, + 0.5 / width keeps whole numbers whole in float32.
    coefficients = [
        [across, 0, left + across / 2 - 0.5, across, 0, left - 0.5 + 0.5 / width, left, right - 1],
        [0, down, top + down / 2 - 0.5, 0, down, top - 0.5 + 0.5 / height, top, bottom - 1],
    ]
    return [("warp", np.array(coefficients, np.float32))]


def _affine(transform: A.Rotate | A.Affine, params: dict[str, Any]) -> Changes:
    """A "warp" as cv2.warpAffine does it: by the inverse of the matrix; one pixel past the edge all is black."""
    height, width = params["shape"][:2]
    inverse = np.linalg.inv(params["matrix"])[:2]
    return [("warp", np.hstack([inverse, inverse, [[-1, width], [-1, height]]]).astype(np.float32))]


def _elastic_field(transform: A.ElasticTransform, params: dict[str, Any]) -> Changes:
    return [("field", np.stack([params["map_x"], params["map_y"]]))]


def _table(transform: A.ImageOnlyTransform, params: dict[str, Any]) -> Changes:
    """What becomes of each grey level, where a transform looks at nothing else."""
    return [("table", transform.apply(_LEVELS, **params)[0])]


def _jitter(transform: A.ColorJitter, params: dict[str, Any]) -> Changes:
    """Its four changes in the drawn order; no hue where it is 0, or the way by HSV would round colours."""
    changes = [
        ("table", transform.transforms[0](_LEVELS, params["brightness"])[0]),
        ("contrast", np.array(params["contrast"], np.float64)),
        ("saturation", np.array(params["saturation"], np.float32)),
        ("hue", np.array(180 * params["hue"], np.float32)),
    ]
    return [changes[i] for i in params["order"] if i < 3 or params["hue"] != 0]


def _noise(transform: A.GaussNoise, params: dict[str, Any]) -> Changes:
    return [("noise", params["noise_map"].astype(np.int16))]  # albumentations cuts the fraction off too


def _blur(transform: A.GaussianBlur, params: dict[str, Any]) -> Changes:
    return [("blur", params["kernel"].astype(np.float32))]


def _hflip(transform: A.HorizontalFlip, params: dict[str, Any]) -> Changes:
    return [("hflip", np.empty(0, np.uint8))]


def _vflip(transform: A.VerticalFlip, params: dict[str, Any]) -> Changes:
    return [("vflip", np.empty(0, np.uint8))]


_SAMPLED = {"interpolation": cv2.INTER_LINEAR, "mask_interpolation": cv2.INTER_NEAREST}
_BLACK_OUTSIDE = {"border_mode": cv2.BORDER_CONSTANT, "fill": 0, "fill_mask": 0}

# Of each transform: how its parameters become operations, and the settings for which that is right.
_RULES: dict[type, tuple[Callable[[Any, dict[str, Any]], Changes], dict[str, Any]]] = {
    A.RandomResizedCrop: (_crop, {**_SAMPLED, "area_for_downscale": None}),
    A.Rotate: (_affine, {**_SAMPLED, **_BLACK_OUTSIDE, "crop_border": False}),
    A.Affine: (_affine, {**_SAMPLED, **_BLACK_OUTSIDE, "fit_output": False}),
    A.ElasticTransform: (_elastic_field, {**_SAMPLED, **_BLACK_OUTSIDE}),
    A.HorizontalFlip: (_hflip, {}),
    A.VerticalFlip: (_vflip, {}),
    A.RandomBrightnessContrast: (_table, {"brightness_by_max": True}),
    A.RandomGamma: (_table, {}),
    A.ColorJitter: (_jitter, {}),
    A.GaussNoise: (_noise, {}),
    A.GaussianBlur: (_blur, {}),
}
