"""Draws one synthetic image with its exact trimap."""

from dataclasses import dataclass

import numpy as np

from petseg.data.images import BACKGROUND, BORDER, PET
from petseg.data.sources.synthetic import camera, coat, face, photo, scene
from petseg.data.sources.synthetic.anatomy import POSES
from petseg.data.sources.synthetic.breeds import BREEDS, Breed
from petseg.data.sources.synthetic.noise import smooth
from petseg.data.sources.synthetic.painting import put
from petseg.data.sources.synthetic.relief import relief

_ODDS = (0.28, 0.32, 0.24, 0.1, 0.06)  # of POSES


@dataclass(frozen=True)
class Drawing:
    """A synthetic image.

    Attributes:
        image: uint8 (H, W, 3), height and width from 200 to 460.
        trimap: uint8 (H, W): 1 pet, 2 background, 3 border, a few pixels on both sides of the outline.
        breed: official name of the breed.
    """

    image: np.ndarray
    trimap: np.ndarray
    breed: str


def draw(index: int, seed: int) -> Drawing:
    """Draws image `index` of the set `seed`, deterministically. Breeds repeat in a fixed order."""
    rng = np.random.default_rng([seed, index])
    breed = BREEDS[index % len(BREEDS)]
    close = rng.random() < 0.28
    name = rng.choice(("sit", "lie")) if close else rng.choice(POSES, p=_ODDS)
    posed = camera.pose(breed, name, close, rng)
    shape = _shape(posed, close, rng)
    frame = camera.frame(posed, close, shape, rng)
    foot = frame.corner[1] * frame.scale
    picture = scene.background(shape, foot, rng)
    pet, cover = render(posed, frame, breed, shape, rng)
    picture = photo.balance(picture, pet, cover)
    shade = photo.shadow(cover, min(foot, 2.0 * shape[0]), rng)
    picture *= 1 - shade[..., None] * np.array((1.0, 0.95, 0.8), np.float32)  # blue light of the sky still reaches it
    put(picture, cover, pet)
    if rng.random() < 0.25:
        cover = cover * (1 - photo.occlude(picture, cover, rng))
    return Drawing(photo.expose(picture, rng), trimap(cover > 0.5, max(2, round(0.011 * max(shape)))), breed.name)


def trimap(pet: np.ndarray, border: int) -> np.ndarray:
    """Converts a boolean mask to a trimap, uint8 (H, W), with `border` pixels of BORDER on each side of the outline."""
    near = _grow(pet, border) & _grow(~pet, border)
    return np.where(near, BORDER, np.where(pet, PET, BACKGROUND)).astype(np.uint8)


def _grow(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Dilates a boolean mask by an octagon: a cross and a 3 x 3 square in turn."""
    for turn in range(pixels):
        rows = mask.copy()
        rows[1:] |= mask[:-1]
        rows[:-1] |= mask[1:]
        source = rows if turn % 2 else mask
        rows = rows.copy()
        rows[:, 1:] |= source[:, :-1]
        rows[:, :-1] |= source[:, 1:]
        mask = rows
    return mask


def _shape(posed: camera.Posed, close: bool, rng: np.random.Generator) -> tuple[int, int]:
    """Samples height and width, long side 280 to 460, mostly in the orientation that suits the pet."""
    long = int(rng.integers(280, 461))
    short = int(max(200, long * rng.choice([0.667, 0.75, 0.75, 0.8, 1.0])))
    left, right, low, high = camera.bounds(posed.parts)
    wide = 0.5 if close else np.clip(0.5 + 1.5 * np.log((right - left) / (high - low)), 0.05, 0.95)
    return (short, long) if rng.random() < wide else (long, short)


def _window(posed: camera.Posed, frame: camera.Frame, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns that the pet and its hair can cover."""
    left, right, low, high = camera.bounds(posed.parts)
    x, y = frame.corner
    top = int(np.clip((y - high - 0.15) * frame.scale, 0, shape[0] - 8))
    bottom = int(np.clip((y - low + 0.15) * frame.scale, top + 8, shape[0]))
    first = int(np.clip((left - 0.15 - x) * frame.scale, 0, shape[1] - 8))
    last = int(np.clip((right + 0.15 - x) * frame.scale, first + 8, shape[1]))
    return slice(top, bottom), slice(first, last)


def render(
    posed: camera.Posed, frame: camera.Frame, breed: Breed, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Renders the lit pet, float32 (H, W, 3), and its coverage of each pixel, float32 (H, W) from 0 to 1."""
    window, scale = _window(posed, frame, shape), frame.scale
    rows, columns = window
    corner = (frame.corner[0] + columns.start / scale, frame.corner[1] - rows.start / scale)
    size = (rows.stop - rows.start, columns.stop - columns.start)

    worn = breed.coats[rng.integers(len(breed.coats))]
    jitter = (0.002 + 0.02 * breed.fur) * smooth(rng, size, max(0.03 * scale, 2))
    seen = relief(posed.parts, coat.region_colors(worn, rng), scale, corner, jitter)
    unlit, hair = coat.dress(seen, breed, worn, scale, rng)
    sun = np.array([rng.uniform(-0.8, 0.8), rng.uniform(0.2, 0.9), rng.uniform(0.5, 1.0)])
    brightness = rng.uniform(0.85, 1.2)
    lit = coat.light(seen, scale, sun / np.linalg.norm(sun), rng.uniform(0.35, 0.6)) * brightness
    # Light from behind shines through the ends of the hair and makes outlines visible, even of black coats.
    glow = np.float32(rng.uniform(0.06, 0.16)) * np.exp(np.minimum(seen.outside, 0) / 0.03)
    color = unlit * lit[..., None] + glow[..., None]
    canvas = face.Canvas(color, seen.depth, scale, corner)
    face.paint(canvas, posed.face, breed, worn, posed.pose == "curl" and rng.random() < 0.7, brightness, rng)

    ragged = (0.004 + 0.016 * breed.fur) * scale * hair
    cover = np.where(seen.outside < 0.1, np.clip(0.5 - seen.outside * scale + ragged, 0, 1), 0)
    pet, whole = np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32)
    pet[window], whole[window] = np.clip(color, 0, 1), cover
    return pet, whole
