"""Random numbers of augmented samples: a stream for each, from which numpy's and Python's generators draw alike."""

import random

import numpy as np


class Streams:
    """One stream of random numbers for each sample of each epoch.

    From a counter-based generator, Philox 4x64 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011):
    the seed is its key; index and epoch stand in its counter, whose lowest word counts the sample's own numbers. To go
    to another sample then takes half a microsecond; to seed a generator for each would take ten.

    Args:
        seed: from 0 to 2**64 - 1.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._philox = np.random.Philox(key=(seed, 0))
        self._generator = np.random.Generator(self._philox)

    def at(self, epoch: int, index: int) -> np.random.Generator:
        """At the beginning of the sample's stream; one generator, which the next call takes elsewhere."""
        self._philox.state = {
            "bit_generator": "Philox",
            "state": {"counter": (0, index, epoch, 0), "key": (self.seed, 0)},
            "buffer": (0, 0, 0, 0),
            "buffer_pos": 4,  # all used
            "has_uint32": 0,
            "uinteger": 0,
        }
        return self._generator


class SameStream(random.Random):
    """Python's generator that takes all its numbers from numpy's, for transforms that draw from both.

    Seeding one of its own for each sample would take longer than most transforms of a small image.
    """

    def of(self, rng: np.random.Generator) -> "SameStream":
        """Itself, from now on drawing from `rng`."""
        self.random = rng.random
        self.gauss_next = None  # the second of two normal numbers, which it would keep
        return self

    def random(self) -> float:
        """All else is made from this one's numbers, since the class has it and no `getrandbits`."""
        raise RuntimeError("say first of which generator")
