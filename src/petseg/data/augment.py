"""Augmentation policies by name: the one module that knows albumentations (2.0.8, the last MIT release)."""

import copy
import os
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it asks the network for a newer version

import albumentations as A
import cv2


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


class Operation(NamedTuple):
    """One change of one sample, in numbers that need neither the image nor albumentations.

    Attributes:
        stage: which entry of the policy's list asked for it, from 0.
        kind: how to read `value`, see `petseg.data.augment_batch.OPERATIONS`.
        value: its numbers.
    """

    stage: int
    kind: str
    value: np.ndarray


Record = list[Operation]  # all that happens to one sample, in order, at most one operation a stage


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
        self.kind, self.value, settings = _RULES[type(transform)]
        for key, needed in settings.items():
            if getattr(transform, key) != needed:
                raise NotImplementedError(f"{name} can be done to batches only where {key} is {needed!r}.")
        self.transform, self.stage, self.drawn = transform, stage, drawn

    def __call__(self, params: dict[str, Any], **data: np.ndarray) -> dict[str, np.ndarray]:
        self.drawn.append(Operation(self.stage, self.kind, self.value(self.transform, params)))
        return data


def _crop(transform: A.RandomResizedCrop, params: dict[str, Any]) -> np.ndarray:
    """A "warp" as cv2.resize does it: the image by pixel centres, the mask by floor(left + x * scale)."""
    left, top, right, bottom = params["crop_coords"]
    height, width = transform.size
    across, down = (right - left) / width, (bottom - top) / height
    # The mask's place is rounded later: - 0.5 makes that a floor, + 0.5 / width keeps whole numbers whole in float32.
    return np.array(
        [
            [across, 0, left + across / 2 - 0.5, across, 0, left - 0.5 + 0.5 / width, left, right - 1],
            [0, down, top + down / 2 - 0.5, 0, down, top - 0.5 + 0.5 / height, top, bottom - 1],
        ],
        np.float32,
    )


def _rotation(transform: A.Rotate, params: dict[str, Any]) -> np.ndarray:
    """A "warp" as cv2.warpAffine does it: by the inverse of the matrix; one pixel past the edge all is black."""
    height, width = params["shape"][:2]
    inverse = np.linalg.inv(params["matrix"])[:2]
    return np.hstack([inverse, inverse, [[-1, width], [-1, height]]]).astype(np.float32)


def _table(transform: A.ImageOnlyTransform, params: dict[str, Any]) -> np.ndarray:
    """What becomes of each grey level, where a transform looks at nothing else."""
    return transform.apply(np.arange(256, dtype=np.uint8)[None], **params)[0]


def _noise(transform: A.GaussNoise, params: dict[str, Any]) -> np.ndarray:
    return params["noise_map"].astype(np.int16)  # albumentations cuts the fraction off too


def _blur(transform: A.GaussianBlur, params: dict[str, Any]) -> np.ndarray:
    return params["kernel"].astype(np.float32)


def _nothing(transform: A.BasicTransform, params: dict[str, Any]) -> np.ndarray:
    return np.empty(0, np.uint8)


_SAMPLED = {"interpolation": cv2.INTER_LINEAR, "mask_interpolation": cv2.INTER_NEAREST}
_BLACK_OUTSIDE = {"border_mode": cv2.BORDER_CONSTANT, "fill": 0, "fill_mask": 0, "crop_border": False}

# Of each transform: its operation's kind, how parameters become the value, and the settings for which that is right.
_RULES: dict[type, tuple[str, Callable[[Any, dict[str, Any]], np.ndarray], dict[str, Any]]] = {
    A.RandomResizedCrop: ("warp", _crop, {**_SAMPLED, "area_for_downscale": None}),
    A.Rotate: ("warp", _rotation, {**_SAMPLED, **_BLACK_OUTSIDE}),
    A.HorizontalFlip: ("hflip", _nothing, {}),
    A.VerticalFlip: ("vflip", _nothing, {}),
    A.RandomBrightnessContrast: ("table", _table, {"brightness_by_max": True}),
    A.RandomGamma: ("table", _table, {}),
    A.GaussNoise: ("noise", _noise, {}),
    A.GaussianBlur: ("blur", _blur, {}),
}
