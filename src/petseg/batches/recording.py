"""What albumentations would do to a sample, in numbers that need neither the image nor albumentations."""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np

from petseg.batches.policies import A, Policy, Rotate


class Operation(NamedTuple):
    """One change of one sample, in numbers that need neither the image nor albumentations.

    Attributes:
        stage: which entry of the policy's list asked for it, and which of that entry's operations it is, both from 0.
        kind: how to read `value`, see `petseg.batches.augment_batch.OPERATIONS`.
        value: its numbers.
    """

    stage: tuple[int, int]
    kind: str
    value: np.ndarray


Record = list[Operation]  # all that happens to one sample, in order of the stages, which differ


def draft(policy: Policy, record: Record) -> Policy:
    """A copy of a policy that draws the same random numbers but leaves pixels alone, and appends to `record` instead.

    Raises:
        NotImplementedError: the policy holds what cannot be put into numbers.
    """
    copied = copy.deepcopy(policy)
    for stage, entry in enumerate(copied):
        for transform in entry.transforms if isinstance(entry, A.OneOf) else [entry]:
            transform.apply_with_params = _Note(transform, stage, record)
    return copied


class _Note:
    """Takes the place of a transform's `apply_with_params`: writes down what it would do and leaves pixels alone."""

    def __init__(self, transform: A.BasicTransform, stage: int, drawn: Record) -> None:
        name = type(transform).__name__
        if type(transform) not in _RULES:
            raise NotImplementedError(f"{name} cannot be done to batches; give it a rule in petseg.batches.recording.")
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


def _affine(transform: Rotate | A.Affine, params: dict[str, Any]) -> Changes:
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
    Rotate: (_affine, {**_SAMPLED, **_BLACK_OUTSIDE, "crop_border": False}),
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
