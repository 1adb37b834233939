"""Augmentation of one sample by a named policy, on the CPU or as a record of what is to be done elsewhere."""

import random
from bisect import bisect
from itertools import accumulate
from typing import Any

import cv2
import numpy as np

from petseg.batches import recording
from petseg.batches.policies import POLICIES, A, Policy
from petseg.batches.sample_rng import SameStream

cv2.setNumThreads(0)  # a sample is too small for threads, and the cores have those of torch, or other workers


class Augment:
    """Augments one sample by a named policy.

    Args:
        policy: a key of `POLICIES`.
        size: height and width of image and mask, pixels.

    Raises:
        NotImplementedError: the policy holds what `draw` cannot put into numbers.
    """

    def __init__(self, policy: str, size: int) -> None:
        self._policy = POLICIES[policy](size)
        self._drawn: recording.Record = []
        self._draft = recording.draft(self._policy, self._drawn)
        self._chance = SameStream()
        self._any_image = np.zeros((size, size, 3), np.uint8)  # what is drawn rests on its shape and type alone

    def __call__(self, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Moves image and mask together; the result depends on the arguments alone.

        Args:
            image: uint8 (size, size, 3).
            mask: uint8 (size, size), 1 pet, 0 background.
            rng: where all chance comes from.

        Returns:
            Both, of the same shapes and dtypes; the arguments themselves where nothing happens to them. Where a
            rotation looks past the edge, the image is black and the mask background.
        """
        moved = _compose(self._policy, rng, self._chance.of(rng), image=image, mask=mask)
        return moved["image"], moved["mask"]

    def draw(self, rng: np.random.Generator) -> recording.Record:
        """What `__call__` would do with the same `rng`, for `augment_batch`; leaves `rng` as it would."""
        self._drawn.clear()
        _compose(self._draft, rng, self._chance.of(rng), image=self._any_image)
        return self._drawn.copy()


def _compose(policy: Policy, rng: np.random.Generator, chance: random.Random, **data: np.ndarray) -> dict[str, Any]:
    """Does what `A.Compose(policy)` does, to the bit, where its random state is `rng` and `chance`.

    Compose spends more time on checks, and on drawing one of a list, than a small image's pixels take.
    """
    chance.random()  # Compose's own: whether to do anything, which is certain
    for entry in policy:
        transform = entry
        if isinstance(entry, A.OneOf):
            if chance.random() >= entry.p:
                continue
            bounds = list(accumulate(entry.transforms_ps))  # as rng.choice draws with these probabilities
            transform = entry.transforms[bisect(bounds, rng.random() * bounds[-1])]
        transform.set_random_state(rng, chance)
        data = transform(force_apply=transform is not entry, **data)
    return data
