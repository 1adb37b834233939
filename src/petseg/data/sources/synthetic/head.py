"""A pet's head, modeled as chains of balls.

Head coordinates: x to the left, y up, z forward; the unit is the radius of the skull.
"""

from dataclasses import dataclass

import numpy as np

from petseg.data.sources.synthetic.anatomy import Part, limb
from petseg.data.sources.synthetic.breeds import Breed


@dataclass(frozen=True)
class Head:
    """A head and the positions of its features, in head coordinates.

    Attributes:
        parts: skull, cheeks, muzzle and ears.
        eye: center of the left eye on the skull, (3,); the right one has the opposite x.
        eye_radius: half the width of an eye.
        nose: center of the nose, (3,).
        nose_radius: half the width of the nose.
    """

    parts: list[Part]
    eye: np.ndarray
    eye_radius: float
    nose: np.ndarray
    nose_radius: float


def head(breed: Breed, rng: np.random.Generator) -> Head:
    """Builds the head of `breed`, with some individual variation."""
    return _cat(breed, rng) if breed.is_cat else _dog(breed, rng)


def _cat(breed: Breed, rng: np.random.Generator) -> Head:
    reach = 0.62 + 0.6 * breed.muzzle
    parts = [limb("head", (0, 0, 0, 1.0)), limb("cheek", (0, -0.22, 0.12, 0.9))]
    for side in (1, -1):
        parts.append(limb("cheek", (0.5 * side, -0.3, 0.2, 0.55 + 0.1 * breed.fur)))
        parts.append(limb("muzzle", (0.17 * side, -0.4, reach, 0.31)))
    parts.append(limb("chin", (0, -0.62, reach - 0.1, 0.22)))
    parts.append(limb("bridge", (0, -0.22, reach + 0.05, 0.22), (0, 0.2, 0.8, 0.24)))
    parts += _ears(breed, rng)
    eye = np.array([0.41, 0.06, 0.86])
    return Head(parts, eye, rng.uniform(0.21, 0.25), np.array([0, -0.2, reach + 0.26]), 0.13)


def _dog(breed: Breed, rng: np.random.Generator) -> Head:
    jaw, reach = breed.jaw, 0.55 + breed.muzzle
    fluff = 0.12 * breed.fur
    parts = [limb("head", (0, 0.05, 0, 0.98))]
    for side in (1, -1):
        parts.append(limb("cheek", (0.42 * side * jaw, -0.3, 0.15, 0.52 + fluff)))
        parts.append(limb("muzzle", (0.16 * side * jaw, -0.42, reach, 0.29 * jaw + fluff),
                          (0.2 * side * jaw, -0.3, 0.5, 0.42 * jaw + fluff)))  # fmt: skip
    parts.append(limb("bridge", (0, -0.2, reach + 0.02, 0.26 * jaw), (0, 0.08, 0.62, 0.38)))
    parts.append(limb("chin", (0, -0.66, reach - 0.12, 0.2 * jaw + fluff), (0, -0.62, 0.4, 0.36 * jaw)))
    if rng.random() < 0.3 and breed.muzzle > 0.3:
        parts.append(limb("tongue", (0, -0.62, reach - 0.08, 0.17), (0, -0.92, reach, 0.17)))
    parts += _ears(breed, rng)
    eye = np.array([0.4, 0.2, 0.84])
    return Head(parts, eye, 0.165, np.array([0, -0.16, reach + 0.2 * jaw + 0.08]), 0.2 + 0.04 * jaw)


def _ears(breed: Breed, rng: np.random.Generator) -> list[Part]:
    size = breed.ear_size * rng.uniform(0.92, 1.08)
    parts = []
    for side in (1, -1):
        if breed.ears == "prick":
            wide = 0.4 + 0.25 * size
            tip = (side * (wide + 0.22 * size), 0.62 + 0.85 * size, -0.05)
            parts.append(limb("ear", (side * wide, 0.45, 0, 0.42 * size**0.5), (*tip, 0.06)))
            parts.append(limb("inner", (side * wide * 1.02, 0.6, 0.3, 0.22 * size**0.5),
                              (tip[0], tip[1] - 0.28 * size, 0.1, 0.03)))  # fmt: skip
        elif breed.ears == "button":
            parts.append(limb("ear", (0.62 * side, 0.72, 0, 0.26), (0.92 * side, 0.85, 0.2, 0.24 * size)))
            parts.append(limb("ear", (0.92 * side, 0.85, 0.2, 0.24 * size), (1.05 * side, 0.45, 0.5, 0.13 * size)))
        else:
            drop = {"floppy": 0.85, "long": 1.35}[breed.ears] * size
            parts.append(limb("ear", (0.72 * side, 0.62, -0.05, 0.24), (1.0 * side, 0.62 - 0.45 * drop, 0.08, 0.32),
                              (1.02 * side, 0.62 - drop, 0.16, 0.26)))  # fmt: skip
    return parts
