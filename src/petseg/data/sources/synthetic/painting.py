"""Painting of polygons, and the colors and textures of paint, cloth and plush."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from petseg.data.sources.synthetic import breeds
from petseg.data.sources.synthetic.noise import fractal, smooth, streaks

Picture = np.ndarray  # float32 (H, W, 3), 0 to 1
Mask = np.ndarray  # float32 (H, W), 0 to 1
Outline = np.ndarray  # float64 (n, 2): (column, row) of the corners of a polygon

_HUES = (
    (0.74, 0.15, 0.18), (0.15, 0.34, 0.70), (0.14, 0.47, 0.28), (0.82, 0.70, 0.12), (0.46, 0.22, 0.56),
    (0.12, 0.52, 0.56), (0.82, 0.34, 0.48), (0.36, 0.62, 0.84), (0.48, 0.72, 0.42), (0.24, 0.34, 0.60),
    (0.66, 0.52, 0.80), (0.28, 0.66, 0.66),
)  # fmt: skip
_FURS = (breeds.GRAY, breeds.FAWN, breeds.BROWN, breeds.CREAM, breeds.RED, breeds.BLACK, breeds.SILVER)


@dataclass(frozen=True)
class Patch:
    """The part of a picture that a polygon touches: its size, and row and column of its upper left pixel."""

    shape: tuple[int, int]
    top: int
    left: int


class Painting:
    """A `picture` (H, W, 3), changed in place, and a mask of what has been painted over: `covered` (H, W)."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.covered = np.zeros(picture.shape[:2], np.float32)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.picture.shape[:2]

    def fill(self, outlines: list[Outline], texture: Callable[[Patch], np.ndarray] | np.ndarray) -> None:
        """Fills polygons, with smooth edges, with a color (3,) or with what `texture` returns for their patch."""
        corners = np.concatenate(outlines)
        left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
        right, bottom = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, self.size[::-1])
        if left >= right or top >= bottom:
            return
        patch = Patch((int(bottom - top), int(right - left)), int(top), int(left))
        mask = _mask(patch, outlines)
        paint = texture(patch) if callable(texture) else np.asarray(texture, np.float32)
        put(self.picture[top:bottom, left:right], mask, paint)
        area = self.covered[top:bottom, left:right]
        np.maximum(area, mask, out=area)


def put(picture: Picture, mask: Mask, paint: np.ndarray) -> None:
    """Blends `paint`, a picture or a color (3,), into `picture`, in place, by `mask`."""
    picture += mask[..., None] * (paint - picture)


def _mask(patch: Patch, outlines: list[Outline]) -> Mask:
    """Rasterizes filled polygons in a patch, at double size and reduced."""
    image = Image.new("L", (2 * patch.shape[1], 2 * patch.shape[0]))
    pen = ImageDraw.Draw(image)
    for outline in outlines:
        pen.polygon([(2 * (x - patch.left), 2 * (y - patch.top)) for x, y in outline.tolist()], fill=255)
    return np.asarray(image.reduce(2), np.float32) / 255


def oval(x: float, y: float, half_width: float, half_height: float, power: float = 2.0, angle: float = 0.0) -> Outline:
    """48 points of a superellipse rotated by `angle`; power 2 is an ellipse, higher powers are more square."""
    around = np.linspace(0, 2 * np.pi, 48, endpoint=False) + np.pi / 4
    cosine, sine = np.cos(around), np.sin(around)
    u = half_width * np.sign(cosine) * np.abs(cosine) ** (2 / power)
    v = half_height * np.sign(sine) * np.abs(sine) ** (2 / power)
    return np.stack([x + u * np.cos(angle) - v * np.sin(angle), y + u * np.sin(angle) + v * np.cos(angle)], axis=1)


def rectangle(left: float, top: float, right: float, bottom: float) -> Outline:
    """The four corners of an upright rectangle."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)


def hue(rng: np.random.Generator, lightness: float | None = None) -> np.ndarray:
    """Samples a color of paint or cloth, float32 (3,); `lightness` from -1 (black) to 1 (white), None for any."""
    base = np.array(_HUES[rng.integers(len(_HUES))])
    lightness = rng.uniform(-0.45, 0.5) if lightness is None else lightness
    mixed = base + lightness * (1 - base) if lightness > 0 else base * (1 + lightness)
    return np.clip(mixed + rng.normal(0, 0.03, 3), 0.02, 0.97).astype(np.float32)


def fur_color(rng: np.random.Generator) -> np.ndarray:
    """Samples a color that pets have too: float32 (3,)."""
    return np.array(_FURS[rng.integers(len(_FURS))], np.float32)


def cloth(shape: tuple[int, int], rng: np.random.Generator, lightness: float | None = None) -> Picture:
    """Plain, striped, checked or dotted cloth with soft folds."""
    height, width = shape
    first = hue(rng, lightness)
    second = 0.55 * first + 0.45 * hue(rng, lightness)
    rows, columns = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
    period, angle = rng.uniform(0.05, 0.14) * max(shape) + 3, rng.uniform(0, np.pi)
    across = columns * np.float32(np.cos(angle) / period) + rows * np.float32(np.sin(angle) / period)
    down = rows * np.float32(np.cos(angle) / period) - columns * np.float32(np.sin(angle) / period)
    across, down = across % 1, down % 1
    kind = rng.integers(4)
    if kind == 0:
        share = np.zeros(shape, np.float32)
    elif kind == 1:
        share = (across > 0.55).astype(np.float32)
    elif kind == 2:
        share = 0.5 * (across > 0.5) + 0.5 * (down > 0.5)
    else:
        share = ((across - 0.5) ** 2 + (down - 0.5) ** 2 < 0.07).astype(np.float32)
    folds = 1 + 0.16 * fractal(rng, shape, 0.35 * max(shape) + 4, 2) + 0.05 * smooth(rng, shape, 1.5)
    return ((first + share.astype(np.float32)[..., None] * (0.8 * (second - first))) * folds[..., None]).astype(
        np.float32
    )


def shag(shape: tuple[int, int], color: np.ndarray, rng: np.random.Generator) -> Picture:
    """The texture of a rug or a plush toy, similar to fur."""
    bend = 3 * smooth(rng, shape, 0.15 * max(shape) + 4)
    hair = streaks(rng.standard_normal(shape, dtype=np.float32), np.cos(bend), np.sin(bend), 6.0)
    tone = 0.97 + 0.09 * hair + 0.14 * fractal(rng, shape, 0.3 * max(shape) + 4, 2)
    return (color * tone[..., None]).astype(np.float32)
