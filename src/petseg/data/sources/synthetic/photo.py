"""From the pet and its background to a photograph: occlusion, shadow, light and camera."""

import numpy as np
from PIL import Image, ImageFilter

from petseg.data.sources.synthetic import things
from petseg.data.sources.synthetic.noise import smooth
from petseg.data.sources.synthetic.painting import Mask, Painting, Patch, Picture, hue, rectangle
from petseg.data.sources.synthetic.scene import soften


def shadow(cover: Mask, foot: float, rng: np.random.Generator) -> Mask:
    """The share of light that the pet's shadow removes: its outline, laid flat from its feet and softened."""
    height, width = cover.shape
    flat, shift = rng.uniform(0.16, 0.35), rng.uniform(-0.35, 0.35)
    # Row y of the shadow shows the row of the outline that is `1 / flat` times as far above the feet.
    mapping = (1, shift / flat, -shift / flat * (foot + 2), 0, 1 / flat, foot * (1 - 1 / flat))
    outline = Image.fromarray((cover * 255).astype(np.uint8))
    laid = outline.transform((width, height), Image.Transform.AFFINE, mapping, Image.Resampling.BILINEAR)
    near = outline.filter(ImageFilter.GaussianBlur(0.02 * width))
    soft = laid.filter(ImageFilter.GaussianBlur(rng.uniform(0.008, 0.03) * width))
    both = np.maximum(np.asarray(soft, np.float32), 0.55 * np.asarray(near, np.float32)) / 255
    return both * rng.uniform(0.35, 0.7)


def balance(picture: Picture, pet: Picture, cover: Mask) -> Picture:
    """Brings the brightness of the background nearer to that of the pet, as a photographer does."""
    area = cover.sum() + 1
    pet_mean = float((pet.mean(axis=2) * cover).sum() / area)
    gain = (pet_mean / float(picture.mean() + 0.01)) ** 0.5
    return picture * np.float32(np.clip(gain, 0.65, 1.4))


def occlude(picture: Picture, cover: Mask, rng: np.random.Generator) -> Mask:
    """Paints something in front of the pet, in place, and returns its mask; `cover` is the mask of the pet."""
    height, width = cover.shape
    rows, columns = np.flatnonzero(cover.max(axis=1) > 0.5), np.flatnonzero(cover.max(axis=0) > 0.5)
    low, left, right = int(rows[-1]), int(columns[0]), int(columns[-1])
    tall = low - int(rows[0])
    painting = Painting(picture)
    kind = rng.integers(4)
    if kind == 0:
        _grass(painting, min(low + 0.03 * height, height), (left, right), 0.2 * tall, rng)
    elif kind == 1:
        size = 0.2 * (right - left) + 0.06 * width
        things.cushion(painting, rng.uniform(left, right), low + 0.02 * height, size, rng)
    elif kind == 2:
        x = left + (rng.choice([0.08, 0.92]) + rng.normal(0, 0.05)) * (right - left)
        things.plant(painting, x, min(low + 0.1 * height, height), 0.38 * tall, rng)
    else:
        _fence(painting, low, tall, rng)
    return painting.covered


def _grass(painting: Painting, foot: float, across: tuple[int, int], tall: float, rng: np.random.Generator) -> None:
    green = np.array((0.36, 0.48, 0.18)) * rng.uniform(0.6, 1.3)
    for shade in (0.7, 1.0, 1.3):
        places = rng.uniform(across[0] - 20, across[1] + 20, 28).tolist()
        blades = [
            things.blade(
                x, foot + rng.uniform(0, 12), tall * rng.uniform(0.5, 1.2), rng.normal(0, 0.3), rng.uniform(3, 6)
            )
            for x in places
        ]
        painting.fill(blades, green * shade)


def _fence(painting: Painting, low: int, tall: int, rng: np.random.Generator) -> None:
    """Pickets in front of the pet's feet, or a board that hides them."""
    height, width = painting.size
    top = low - rng.uniform(0.08, 0.2) * tall
    if rng.random() < 0.5:
        outlines = [np.array([(0, top), (width, top + rng.normal(0, 0.03) * height), (width, height), (0, height)])]
    else:
        gap = rng.uniform(0.09, 0.16) * width
        thick, rail = rng.uniform(0.3, 0.5) * gap, top + 0.06 * tall
        outlines = [rectangle(0, rail, width, rail + 0.3 * thick)]
        for x in np.arange(rng.uniform(-1, 0) * gap, width, gap).tolist():
            point = (x + thick / 2, top - 0.5 * thick)
            outlines.append(np.array([(x, height), (x, top), point, (x + thick, top), (x + thick, height)]))
    color = hue(rng)

    def wood(patch: Patch) -> np.ndarray:
        return color * (1 + 0.12 * smooth(rng, patch.shape, (20.0, 2.0)))[..., None]

    painting.fill(outlines, wood)


def expose(picture: Picture, rng: np.random.Generator) -> np.ndarray:
    """Applies direction and color of the light, contrast, blur and sensor noise: uint8 (H, W, 3)."""
    height, width = picture.shape[:2]
    rows, columns = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.35)
    gradient = (
        1 + strength * (np.cos(angle) * columns + np.sin(angle) * rows) - 0.08 * (rows * rows + columns * columns)
    )
    cast = 1 + rng.normal(0, 0.05) * np.array((1.0, 0.1, -1.0), np.float32)
    lit = np.clip(picture * (gradient * rng.uniform(0.82, 1.22))[..., None] * cast, 0, 1)
    lit = lit ** np.float32(rng.uniform(0.8, 1.25))
    lit = soften(lit, rng.uniform(0.3, 0.8))
    grain = rng.standard_normal((height, width, 1), dtype=np.float32) + 0.5 * rng.standard_normal(
        lit.shape, dtype=np.float32
    )
    return (np.clip(lit + rng.uniform(0.004, 0.02) * grain, 0, 1) * 255 + 0.5).astype(np.uint8)
