"""Random number generators that depend only on the seed and on what they are used for."""

import random

import numpy as np

_AUGMENTATION, _ORDER = 1, 2  # separate streams; synthetic images have another one, whose last word is 0


def sample_rng(seed: int, epoch: int, index: int) -> tuple[np.random.Generator, random.Random]:
    """NumPy's and Python's generator for the augmentation of sample `index` in `epoch`, independent of each other."""
    rng = np.random.default_rng([seed, epoch, index, _AUGMENTATION])
    return rng, random.Random(int(rng.integers(2**63)))


def epoch_order(seed: int, epoch: int, samples: int) -> list[int]:
    """A random permutation of the indices 0 to `samples` - 1 for one epoch."""
    return np.random.default_rng([seed, epoch, 0, _ORDER]).permutation(samples).tolist()
