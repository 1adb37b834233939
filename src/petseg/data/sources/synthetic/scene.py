"""Backgrounds: a room, a lawn, a street, a blanket, a studio, or lights out of focus."""

import numpy as np
from PIL import Image, ImageFilter

from petseg.data.sources.synthetic import things
from petseg.data.sources.synthetic.noise import fractal, smooth
from petseg.data.sources.synthetic.painting import Painting, Picture, cloth, fur_color, hue, oval, rectangle, shag

_WOODS = ((0.60, 0.34, 0.26), (0.42, 0.22, 0.17), (0.74, 0.56, 0.50), (0.46, 0.48, 0.54))


def background(shape: tuple[int, int], foot: float, rng: np.random.Generator) -> Picture:
    """Draws a random background.

    Args:
        shape: height and width.
        foot: the row where the pet touches the ground; the horizon is above it.
        rng: source of randomness.
    """
    kinds = (_room, _lawn, _street, _blanket, _bokeh, _studio)
    kind = kinds[rng.choice(len(kinds), p=(0.31, 0.27, 0.13, 0.14, 0.11, 0.04))]
    horizon = int(np.clip(foot - rng.uniform(0.1, 0.5) * shape[0], 0.12 * shape[0], 0.8 * shape[0]))
    picture = kind(shape, horizon, rng)
    if rng.random() < 0.6:
        picture = picture * _daylight(shape, rng)
    return np.clip(picture, 0, 1).astype(np.float32)


def soften(picture: Picture, radius: float) -> Picture:
    """Gaussian blur of a picture, as out of focus."""
    image = Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255


def _daylight(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Light through a window or between trees, float32 (H, W, 1): a bright slanting band, dark beside it."""
    height, width = shape
    painting = Painting(np.zeros((height, width, 3), np.float32))
    x, wide, slant = rng.uniform(0, 1) * width, rng.uniform(0.3, 0.6) * width, rng.uniform(-0.6, 0.6) * width
    painting.fill([np.array([(x, 0), (x + wide, 0), (x + wide + slant, height), (x + slant, height)])], np.ones(3))
    lit = soften(painting.picture, rng.uniform(2, 10))[..., :1]
    dusk = rng.uniform(0.6, 0.85)
    return dusk + lit * (rng.uniform(1.1, 1.35) - dusk)


def _floor(shape: tuple[int, int], lightness: float, rng: np.random.Generator) -> Picture:
    """A floor of boards, tiles, carpet or cloth, in perspective."""
    height, width = shape
    kind = rng.choice(4, p=(0.15, 0.25, 0.3, 0.3))
    if kind == 3:
        return cloth(shape, rng, lightness)
    if kind == 2:
        return shag(shape, hue(rng, lightness), rng)
    depth = height / (np.arange(height, dtype=np.float32)[:, None] + 0.35 * height)
    across = (np.arange(width, dtype=np.float32) - np.float32(rng.uniform(0.2, 0.8) * width)) / width * depth
    if kind == 0:
        color = np.array(_WOODS[rng.integers(4)], np.float32) * (1 + 0.5 * lightness)
        tone = 0.86 + 0.26 * ((np.floor(across * 9) * 0.618) % 1) - 0.3 * ((across * 9) % 1 < 0.06)
        tone += 0.10 * smooth(rng, shape, (14.0, 2.5))
    else:
        color = hue(rng, lightness)
        seam = ((across * 6) % 1 < 0.07) | ((depth * 4.2) % 1 < 0.07)
        tone = 0.98 - 0.25 * seam + 0.05 * fractal(rng, shape, 20)
    return (color * tone[..., None]).astype(np.float32)


def _room(shape: tuple[int, int], horizon: int, rng: np.random.Generator) -> Picture:
    height, width = shape
    side = rng.choice([-1, 1])  # a light wall above a dark floor, or the reverse
    wall, trim = hue(rng, side * rng.uniform(0.1, 0.6)), hue(rng, side * rng.uniform(0.0, 0.5))
    paper = np.sin(np.arange(width, dtype=np.float32) * (2 * np.pi / rng.uniform(14, 40))) > rng.choice([0.0, 2.0])
    painting = Painting(np.empty((height, width, 3), np.float32))
    painting.picture[:] = wall + 0.4 * paper[:, None] * (trim - wall)
    painting.picture *= (1 + 0.10 * fractal(rng, shape, 0.5 * width))[..., None]
    for _ in range(rng.integers(0, 3)):
        _opening(painting, horizon, rng)
    painting.picture[horizon:] = _floor((height - horizon, width), -side * rng.uniform(0.1, 0.6), rng)
    painting.picture[max(horizon - height // 45, 0) : horizon] = 0.75 * trim + 0.2
    things.scatter(
        painting, things.INDOORS, (horizon - 0.03 * height, horizon + 0.1 * height), int(rng.integers(2, 5)), rng
    )
    painting = Painting(soften(painting.picture, rng.uniform(0.6, 2.2)))
    if rng.random() < 0.4:
        middle, reach = 0.5 * (horizon + 1.15 * height), 0.42 * (height - horizon)
        rug = oval(rng.uniform(0.2, 0.8) * width, middle, rng.uniform(0.3, 0.7) * width, reach)
        woolly = rng.random() < 0.2
        painting.fill(
            [rug], lambda patch: shag(patch.shape, fur_color(rng), rng) if woolly else cloth(patch.shape, rng)
        )
    things.scatter(painting, things.TOYS, (horizon, height), int(rng.integers(0, 3)), rng)
    return painting.picture


def _opening(painting: Painting, horizon: int, rng: np.random.Generator) -> None:
    """A picture or a window on the wall."""
    height, width = painting.size
    x, y = rng.uniform(0, width), rng.uniform(0, 0.7) * horizon
    half_width, half_height = rng.uniform(0.06, 0.2) * width, rng.uniform(0.08, 0.25) * height
    view = np.array((0.50, 0.74, 0.94)) if rng.random() < 0.5 else hue(rng)
    for grow, color in ((1.0, hue(rng)), (0.86, view)):
        frame = rectangle(x - grow * half_width, y - grow * half_height, x + grow * half_width, y + grow * half_height)
        painting.fill([frame], color)


def _lawn(shape: tuple[int, int], horizon: int, rng: np.random.Generator) -> Picture:
    height, width = shape
    painting = Painting(np.empty((height, width, 3), np.float32))
    sky, wood = (
        np.array((0.66, 0.79, 0.93)) * rng.uniform(0.75, 1.05),
        np.array((0.20, 0.31, 0.14)) * rng.uniform(0.5, 1.4),
    )
    painting.picture[:] = sky if rng.random() < 0.6 else wood
    painting.picture *= (1 + 0.15 * fractal(rng, shape, 0.3 * width))[..., None]
    things.scatter(
        painting, things.HEDGE, (horizon - 0.02 * height, horizon + 0.05 * height), int(rng.integers(3, 9)), rng
    )
    greens = ((0.34, 0.52, 0.16), (0.45, 0.58, 0.20), (0.56, 0.58, 0.26), (0.20, 0.38, 0.12))
    green = np.array(greens[rng.integers(4)]) * rng.uniform(0.7, 1.4)
    below = (height - horizon, width)
    tone = 0.9 + 0.16 * smooth(rng, below, (5.0, 1.6)) + 0.14 * fractal(rng, below, 0.15 * width)
    tint = 0.06 * smooth(rng, below, 0.1 * width)
    painting.picture[horizon:] = (green + tint[..., None] * np.array((1.0, 0.5, 0.2))) * tone[..., None]
    painting = Painting(soften(painting.picture, rng.uniform(0.7, 2.0)))
    things.scatter(painting, things.TOYS, (horizon + 0.05 * height, height), int(rng.integers(0, 3)), rng)
    for shade in (0.7, 1.0, 1.3):
        rows = rng.uniform(horizon, height, 50).tolist()
        lengths = [(0.02 + 0.07 * (row - horizon) / height) * height for row in rows]
        blades = [
            things.blade(rng.uniform(0, width), row, length, rng.normal(0, 0.4), 2.2)
            for row, length in zip(rows, lengths, strict=True)
        ]
        painting.fill(blades, green * shade)
    return painting.picture


def _street(shape: tuple[int, int], horizon: int, rng: np.random.Generator) -> Picture:
    height, width = shape
    bricks = ((0.62, 0.22, 0.17), (0.36, 0.48, 0.66), (0.30, 0.50, 0.44), (0.66, 0.36, 0.34))
    brick = np.array(bricks[rng.integers(4)], np.float32) * rng.uniform(0.5, 1.3)
    rows, columns = np.arange(height)[:, None], np.arange(width)
    size = rng.uniform(0.04, 0.08) * height
    seam = (rows / size % 1 < 0.14) | ((columns / size / 2.2 + 0.5 * (rows // size % 2)) % 1 < 0.07)
    painting = Painting((brick * (1 + 0.3 * seam + 0.12 * fractal(rng, shape, 12))[..., None]).astype(np.float32))
    for _ in range(rng.integers(1, 4)):
        _opening(painting, horizon, rng)
    gray = rng.uniform(0.25, 0.85) * np.array((0.90, 0.98, 1.14), np.float32)
    below = (height - horizon, width)
    grain = 1 + 0.07 * rng.standard_normal(below, dtype=np.float32) + 0.1 * fractal(rng, below, 0.2 * width)
    painting.picture[horizon:] = gray * grain[..., None]
    painting.picture[horizon : horizon + max(2, height // 60)] = 0.6 * gray
    things.scatter(
        painting, things.HEDGE, (horizon - 0.02 * height, horizon + 0.06 * height), int(rng.integers(2, 5)), rng
    )
    things.scatter(painting, things.TOYS, (horizon + 0.1 * height, height), int(rng.integers(0, 2)), rng)
    return soften(painting.picture, rng.uniform(0.7, 2.0))


def _blanket(shape: tuple[int, int], horizon: int, rng: np.random.Generator) -> Picture:
    height, width = shape
    side, top = rng.choice([-1, 1]), int(0.6 * horizon)
    painting = Painting(cloth(shape, rng, side * rng.uniform(0, 0.6) + 0.15))
    painting.picture[:top] = cloth((top, width), rng, -side * rng.uniform(0, 0.6) + 0.15)
    for _ in range(rng.integers(1, 4)):
        x, y = rng.uniform(-0.05, 1.05) * width, top + rng.uniform(-0.15, 0.15) * height
        things.cushion(painting, x, y, rng.uniform(0.15, 0.35) * width, rng)
    things.scatter(painting, things.TOYS, (top, height), int(rng.integers(0, 3)), rng)
    return soften(painting.picture, rng.uniform(0.5, 1.5))


def _bokeh(shape: tuple[int, int], horizon: int, rng: np.random.Generator) -> Picture:
    height, width = shape
    tone = 1 + 0.4 * fractal(rng, shape, 0.4 * width)
    painting = Painting((hue(rng, rng.uniform(-0.4, 0.6)) * tone[..., None]).astype(np.float32))
    for _ in range(rng.integers(10, 24)):
        radius, strength = rng.uniform(0.03, 0.12) * width, np.float32(rng.uniform(0.2, 0.6))
        color = 0.5 * hue(rng) + 0.5

        def glow(patch, color=color, strength=strength):
            area = painting.picture[patch.top : patch.top + patch.shape[0], patch.left : patch.left + patch.shape[1]]
            return area + strength * (color - area)

        painting.fill([oval(rng.uniform(0, width), rng.uniform(0, horizon), radius, radius)], glow)
    painting.picture[horizon:] = _floor((height - horizon, width), rng.uniform(-0.4, 0.5), rng)
    return soften(painting.picture, rng.uniform(1.0, 2.0))


def _studio(shape: tuple[int, int], horizon: int, rng: np.random.Generator) -> Picture:
    height, width = shape
    rows, columns = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)
    glow = 1.5 - 0.7 * np.hypot(rows - np.float32(rng.uniform(-0.5, 0.5)), columns - np.float32(rng.uniform(-0.7, 0.7)))
    tone = np.clip(glow, 0.3, 1.5) * (1 + 0.12 * fractal(rng, shape, 0.3 * width))
    painting = Painting((hue(rng) * tone[..., None]).astype(np.float32))
    things.scatter(painting, things.INDOORS, (max(horizon, 0.7 * height), height), int(rng.integers(0, 3)), rng)
    return painting.picture
