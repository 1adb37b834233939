"""Objects in the background: cushions, balls, bushes, plants and furniture; some look like fur.

Each function paints one object at column x and row y; `size` is about half its width, in pixels.
"""

from collections.abc import Callable

import numpy as np

from petseg.data.sources.synthetic.noise import fractal, smooth
from petseg.data.sources.synthetic.painting import (
    Outline,
    Painting,
    Patch,
    cloth,
    fur_color,
    hue,
    oval,
    rectangle,
    shag,
)

Thing = Callable[[Painting, float, float, float, np.random.Generator], None]


def cushion(painting: Painting, x: float, y: float, size: float, rng: np.random.Generator) -> None:
    """A cushion of cloth, sometimes of plush."""
    half_height = size * rng.uniform(0.5, 0.8)
    plush = fur_color(rng) if rng.random() < 0.25 else None

    def texture(patch: Patch) -> np.ndarray:
        stuff = cloth(patch.shape, rng) if plush is None else shag(patch.shape, plush, rng)
        return stuff * _round(patch, x, y, size, half_height)

    painting.fill([oval(x, y, size, half_height, rng.uniform(2.4, 3.6), rng.normal(0, 0.2))], texture)


def ball(painting: Painting, x: float, y: float, size: float, rng: np.random.Generator) -> None:
    """A ball, or a bowl."""
    flat = rng.choice([1.0, 0.5])
    color = hue(rng)
    outline = oval(x, y, 0.5 * size, 0.5 * size * flat)
    painting.fill(
        [outline], lambda patch: color * _round(patch, x - 0.1 * size, y - 0.12 * size, 0.45 * size, 0.45 * size)
    )


def bush(painting: Painting, x: float, y: float, size: float, rng: np.random.Generator) -> None:
    """A bush, a tuft of dry grass or a pile of wool: round and rough, like an animal."""
    lumps = [
        oval(
            x + size * rng.normal(0, 0.45),
            y - size * rng.uniform(0, 0.5),
            size * rng.uniform(0.35, 0.6),
            size * rng.uniform(0.3, 0.5),
        )
        for _ in range(7)
    ]
    green = np.array((0.24, 0.40, 0.16), np.float32) * np.float32(rng.uniform(0.5, 1.6))
    color = green if rng.random() < 0.75 else fur_color(rng)

    def texture(patch: Patch) -> np.ndarray:
        leaves = (
            1
            + 0.3 * smooth(rng, patch.shape, max(0.05 * size, 2))
            + 0.2 * fractal(rng, patch.shape, max(0.3 * size, 3), 2)
        )
        return color * _round(patch, x, y - 0.25 * size, 1.2 * size, size) * leaves[..., None]

    painting.fill(lumps, texture)


def plant(painting: Painting, x: float, y: float, size: float, rng: np.random.Generator) -> None:
    """The leaves of a plant, rooted at (x, y)."""
    color = np.array((0.20, 0.42, 0.18)) * rng.uniform(0.6, 1.5)
    for _ in range(3):
        leaves = [
            blade(x + rng.normal(0, 0.1) * size, y, size * rng.uniform(0.7, 1.4), rng.normal(0, 0.55), 0.11 * size)
            for _ in range(4)
        ]
        painting.fill(leaves, color * rng.uniform(0.7, 1.3))


def box(painting: Painting, x: float, y: float, size: float, rng: np.random.Generator) -> None:
    """A cupboard, a parcel or a pile of books that stands on row y."""
    half_width, tall = size * rng.uniform(0.4, 0.9), size * rng.uniform(0.5, 1.6)
    floors = int(rng.integers(1, 5))
    for floor in range(floors):
        low = y - tall * floor / floors
        color = hue(rng)
        outline = rectangle(x - half_width, low - 0.94 * tall / floors, x + half_width, low)
        painting.fill([outline], lambda patch, color=color: color * _grain(patch, rng))


def blade(x: float, y: float, length: float, lean: float, width: float) -> Outline:
    """A blade of grass from its root, bent sideways."""
    t = np.linspace(0, 1, 7)
    spine_x = x + length * (np.sin(lean) * t + 0.25 * lean * t * t)
    spine_y = y - length * np.cos(lean) * t * (1 - 0.1 * t)
    half = 0.5 * width * (1 - t) ** 0.7 * (0.5 + t)
    return np.concatenate([np.stack([spine_x - half, spine_y], 1), np.stack([spine_x + half, spine_y], 1)[::-1]])


def scatter(
    painting: Painting, kinds: tuple[Thing, ...], rows: tuple[float, float], count: int, rng: np.random.Generator
) -> None:
    """Paints `count` random objects at random columns and at rows between two, lower ones in front."""
    height, width = painting.size
    for row in np.sort(rng.uniform(*rows, count)).tolist():
        thing = kinds[rng.integers(len(kinds))]
        thing(painting, rng.uniform(-0.05, 1.05) * width, row, rng.uniform(0.08, 0.24) * max(height, width), rng)


def _round(patch: Patch, x: float, y: float, half_width: float, half_height: float) -> np.ndarray:
    """Shading of a round object, float32 (H, W, 1): lit from above, darker at the rim."""
    u = (patch.left + np.arange(patch.shape[1], dtype=np.float32) - np.float32(x)) / np.float32(half_width)
    v = (patch.top + np.arange(patch.shape[0], dtype=np.float32) - np.float32(y))[:, None] / np.float32(half_height)
    return np.clip(1.08 - 0.22 * (u * u + v * v) - 0.18 * v, 0.4, 1.2)[..., None]


def _grain(patch: Patch, rng: np.random.Generator) -> np.ndarray:
    """Shading of planed wood or card, float32 (H, W, 1)."""
    return (1 + 0.07 * smooth(rng, patch.shape, (2.0, 40.0)))[..., None]


INDOORS: tuple[Thing, ...] = (cushion, cushion, ball, box, plant, bush)
HEDGE: tuple[Thing, ...] = (bush, bush, bush, plant, box)
TOYS: tuple[Thing, ...] = (ball, ball, bush, plant, cushion)
