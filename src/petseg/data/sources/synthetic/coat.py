"""Renders the coat on a relief: colors of regions, patterns, hair and lighting."""

from collections.abc import Callable

import numpy as np

from petseg.data.sources.synthetic.breeds import BLACK, PINK, WHITE, Breed, Coat, Color
from petseg.data.sources.synthetic.noise import blur, fractal, smooth, step, streaks
from petseg.data.sources.synthetic.relief import Relief

REGIONS = (
    "back", "chest", "belly", "thigh", "leg", "paw", "neck", "head", "cheek", "bridge", "muzzle", "chin", "ear",
    "inner", "tongue", "collar", "tail", "tip",
)  # fmt: skip
# Regions in the second color of a coat; the others have the first one or a pattern.
_SECOND = {
    "points": ("ear", "tail", "tip", "paw", "leg", "muzzle", "bridge"),
    "mask": ("muzzle", "chin", "ear", "bridge"),
    "tan": ("muzzle", "chin", "cheek", "leg", "paw", "belly"),
    "bicolor": ("muzzle", "chin", "chest", "belly", "paw", "leg"),
    "urajiro": ("muzzle", "chin", "cheek", "chest", "belly", "tip"),
    "patches": ("ear",),
    "roan": ("ear",),
}
# Regions that are white, whatever the two colors of the coat are.
_WHITE = {"saddle": ("muzzle", "chin", "chest", "belly", "paw", "leg", "tip", "bridge")}
_DARK_EARS = ("shaded", "brindle")


def region_colors(coat: Coat, rng: np.random.Generator) -> dict[str, Color]:
    """The color of every region of a body in `coat`, including collar and tongue."""
    colors = {region: np.array(coat.base) for region in REGIONS}
    for region in ("chest", "belly", "muzzle", "chin"):
        colors[region] = 0.75 * np.array(coat.base) + 0.25 * np.array(WHITE)
    for region in _SECOND.get(coat.pattern, ()):
        colors[region] = np.array(coat.second)
    for region in _WHITE.get(coat.pattern, ()):
        colors[region] = np.array(WHITE)
    if coat.pattern in _DARK_EARS:
        colors["ear"] = 0.5 * (np.array(coat.base) + np.array(coat.second))
    colors["ear"] = 0.85 * colors["ear"]
    colors["inner"] = 0.45 * colors["ear"] + 0.55 * np.array(PINK) * 0.85
    colors["tongue"] = np.array((0.85, 0.42, 0.45))
    colors["collar"] = np.array(
        rng.choice([(0.75, 0.10, 0.12), (0.12, 0.30, 0.70), (0.10, 0.45, 0.25), (0.15, 0.13, 0.12)])
    )
    return {region: tuple(color.tolist()) for region, color in colors.items()}


def dress(
    relief: Relief, breed: Breed, coat: Coat, scale: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Renders pattern and hair on a relief.

    Returns:
        Unlit colors, float32 (H, W, 3) from 0 to 1, and the hair, float32 (H, W), standard deviation about 1.
    """
    shape = relief.depth.shape
    length = max(scale * (0.05 + 0.11 * breed.fur), 4.0)
    bend = smooth(rng, shape, max(0.14 * scale, 3)) * (0.35 + 0.5 * breed.fur)
    flow_x, flow_y = _lift(relief, scale)
    cosine, sine = np.cos(bend), np.sin(bend)
    flow_x, flow_y = flow_x * cosine - flow_y * sine, flow_x * sine + flow_y * cosine
    tufts = 1.6 * smooth(rng, shape, max(0.018 * scale, 1.6))
    hair = streaks(0.45 * rng.standard_normal(shape, dtype=np.float32) + 0.5 * tufts, flow_x, flow_y, length)
    tinted = _pattern(relief, coat, scale, tufts, rng)
    strength = 0.03 + 0.065 * breed.fur if breed.fur else 0.012
    shade = 1 + strength * hair + 0.07 * fractal(rng, shape, 0.25 * scale, 2)
    color = tinted * shade[..., None] + (0.35 * strength * hair)[..., None]
    return color, hair


def _lift(relief: Relief, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """The direction of the hair as unit vectors, turned outwards near the outline."""
    down, right = np.gradient(relief.outside * np.float32(scale))
    share = 1.2 * np.exp(np.minimum(relief.outside, 0) / 0.06)
    x, y = relief.flow[0] + share * right, relief.flow[1] + share * down
    norm = 1 / (np.hypot(x, y) + 1e-6)
    return x * norm, y * norm


def light(relief: Relief, scale: float, sun: np.ndarray, ambient: float) -> np.ndarray:
    """Brightness of the light: float32 (H, W), about 1 where the surface faces the `sun`, a unit vector (3,)."""
    depth = blur(relief.depth, max(1, round(0.012 * scale)))
    down, right = np.gradient(depth * np.float32(scale))
    slope = 1 / np.sqrt(1 + right * right + down * down)
    facing = (-right * sun[0] + down * sun[1] + sun[2]) * slope
    crease = np.clip((blur(relief.depth, max(2, round(0.07 * scale))) - relief.depth) * 2.2, 0, 0.35)
    rim = 0.86 + 0.14 * slope
    return ((ambient + (1.12 - ambient) * np.clip(0.35 + 0.65 * facing, 0, 1)) * rim * (1 - crease)).astype(np.float32)


def _pattern(relief: Relief, coat: Coat, scale: float, tufts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    where = PATTERNS[coat.pattern](relief, scale, tufts, rng)
    if where is None:
        return relief.color
    # Only fur of the first color has the pattern; white legs, collars and tongues do not.
    plain = 1 - step(np.abs(relief.color - np.array(coat.base, np.float32)).sum(axis=2), 0.45, 0.2)
    second = np.array(BLACK if coat.pattern == "saddle" else coat.second, np.float32)
    return relief.color + (where * plain)[..., None] * (second - relief.color)


def _none(relief: Relief, scale: float, tufts: np.ndarray, rng: np.random.Generator) -> None:
    return None


def _stripes(relief: Relief, scale: float, tufts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    wave = np.sin(2 * np.pi * relief.along / 0.15 + 2.2 * smooth(rng, tufts.shape, 0.2 * scale))
    marbling = fractal(rng, tufts.shape, 0.16 * scale, 2)
    return 0.8 * step(wave + 0.9 * marbling + 0.4 * tufts, 0.35, 0.9)


def _brindle(relief: Relief, scale: float, tufts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    wave = np.sin(2 * np.pi * relief.along / 0.07 + 4 * smooth(rng, tufts.shape, 0.15 * scale))
    return 0.55 * step(wave + 0.5 * tufts, 0.2, 1.6)


def _ticked(relief: Relief, scale: float, tufts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return 0.28 * step(tufts + fractal(rng, tufts.shape, 0.3 * scale, 2), 0.1, 1.0)


def _spots(relief: Relief, scale: float, tufts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return 0.85 * step(smooth(rng, tufts.shape, 0.055 * scale) + 0.15 * tufts, 0.28, 0.3)


def _rosettes(relief: Relief, scale: float, tufts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    field = smooth(rng, tufts.shape, 0.08 * scale)
    return 0.85 * step(field, 0.18, 0.2) * (1 - 0.75 * step(field, 0.5, 0.2))


def _patches(relief: Relief, scale: float, tufts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return step(fractal(rng, tufts.shape, 0.5 * scale, 2) + 0.05 * tufts, 0.12, 0.1)


def _roan(relief: Relief, scale: float, tufts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    specks = 0.8 * step(smooth(rng, tufts.shape, 0.035 * scale), 0.3, 0.4)
    return np.maximum(specks, step(fractal(rng, tufts.shape, 0.5 * scale, 2), 0.4, 0.15))


def _saddle(relief: Relief, scale: float, tufts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    high = relief.along > 0.12  # not on heads and the tops of limbs
    return step(high + 0.5 * smooth(rng, tufts.shape, 0.2 * scale) + 0.05 * tufts, 0.75, 0.25)


def _shaded(relief: Relief, scale: float, tufts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return 0.65 * step(fractal(rng, tufts.shape, 0.25 * scale, 2) + 0.25 * tufts, 0.1, 1.0)


_Pattern = Callable[[Relief, float, np.ndarray, np.random.Generator], np.ndarray | None]
# Each returns the share of the second color at each pixel, (H, W) from 0 to 1, or None for coats without a pattern.
PATTERNS: dict[str, _Pattern] = {
    "solid": _none, "points": _none, "mask": _none, "tan": _none, "bicolor": _none, "urajiro": _none, "skin": _none,
    "tabby": _stripes, "brindle": _brindle, "ticked": _ticked, "spots": _spots, "rosettes": _rosettes,
    "patches": _patches, "roan": _roan, "saddle": _saddle, "shaded": _shaded,
}  # fmt: skip
