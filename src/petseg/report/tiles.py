"""Pictures of a mask on its photograph, at original size: what a network segmented, and where it is wrong."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageColor

from petseg.config.networks import NETWORKS
from petseg.data import layout
from petseg.data.images import decode, read_pair
from petseg.data.packed import foreground
from petseg.report.inputs import Inputs

LONGEST = 1024  # pixels: larger photographs are reduced, so that the page stays small
# Yellow and blue can be told from each other and from gray with every kind of color blindness.
FALSE_POSITIVE, FALSE_NEGATIVE = "#ffd60a", "#4040ff"
ERRORS = {"false positive: background": FALSE_POSITIVE, "false negative: missed foreground": FALSE_NEGATIVE}
GRAY = 128
FADED = 0.7  # share of gray in true negatives
HATCHING = 6  # pixels from one stripe to the next


@dataclass(frozen=True)
class Picture:
    """A test image and its masks, at original size or reduced to LONGEST pixels.

    Attributes:
        size: original width and height, pixels.
        image: (H, W, 3) uint8.
        truth: (H, W) bool, True on the foreground.
        masks: predictions, (H, W) bool by network.
        dice: by network.
    """

    name: str
    breed: str
    size: tuple[int, int]
    image: np.ndarray
    truth: np.ndarray
    masks: dict[str, np.ndarray]
    dice: dict[str, float]


def load_picture(inputs: Inputs, row: int) -> Picture:
    """Returns the picture of a row of the test split.

    Raises:
        DataError: a photograph, trimap or prediction is missing or damaged.
    """
    test = inputs.test.loc[row]
    name, raw = test["name"], inputs.root / layout.RAW
    image, trimap = read_pair(layout.image_path(raw, name), layout.trimap_path(raw, name))
    height, width = trimap.shape
    scale = min(1, LONGEST / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    predictions = {each: inputs.root / "data/predictions" / each / f"{name}.png" for each in NETWORKS}
    return Picture(
        name=name,
        breed=test["breed"],
        size=(width, height),
        image=np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)),
        truth=_reduced(foreground(trimap), size),
        masks={each: _reduced(np.asarray(decode(path).convert("L")) > 127, size) for each, path in predictions.items()},
        dice={each: test[each] for each in NETWORKS},
    )


def _reduced(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))


def tile(picture: Picture, what: str) -> np.ndarray:
    """Returns the image, or a mask on it with its errors as `mark` shows them, (H, W, 3) uint8.

    Args:
        what: `image`, `truth` or the name of a network.
    """
    if what == "image":
        return picture.image
    return mark(picture.image, picture.truth if what == "truth" else picture.masks[what], picture.truth)


def mark(photo: np.ndarray, mask: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns a mask on its photograph, with its errors, (H, W, 3) uint8.

    True positives keep their color, true negatives fade to gray, false positives are yellow, and false negatives are
    hatched in blue.

    Args:
        photo: (H, W, 3) uint8.
        mask: (H, W) bool.
        truth: (H, W) bool.
    """
    gray = photo.mean(axis=2, keepdims=True, dtype=np.float32)
    pixels = np.where(mask[..., None], photo, (1 - FADED) * gray + FADED * GRAY)
    for where, color, opacity in error_layers(mask, truth):
        # The image shines through a little, to show what the network got wrong.
        pixels[where] = (1 - opacity) * gray[where] + opacity * np.array(ImageColor.getrgb(color), dtype=np.float32)
    return pixels.round().astype(np.uint8)


def error_layers(mask: np.ndarray, truth: np.ndarray) -> list[tuple[np.ndarray, str, float]]:
    """Returns where a mask is wrong, (H, W) bool, with color and opacity; false negatives in stripes of two."""
    missed = truth & ~mask
    height, width = mask.shape
    stripe = np.add.outer(np.arange(height), np.arange(width)) % HATCHING < HATCHING // 2
    return [
        (mask & ~truth, FALSE_POSITIVE, 0.8),
        (missed & stripe, FALSE_NEGATIVE, 0.85),
        (missed & ~stripe, FALSE_NEGATIVE, 0.45),
    ]


def data_uri(pixels: np.ndarray) -> str:
    """Encodes (H, W, 3) uint8 pixels as a JPEG data URI, without chroma subsampling, which would blur the masks."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=86, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
