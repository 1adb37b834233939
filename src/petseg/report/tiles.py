"""Small pictures of a mask on its image: what a network segmented, and where it is wrong."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageColor

from petseg.config.networks import NETWORKS
from petseg.report.inputs import Inputs

TILE = 256  # pixels per side: sharp on a phone, small in a file
# Yellow and blue can be told from each other and from gray with every kind of color blindness.
FALSE_POSITIVE, FALSE_NEGATIVE = "#ffd60a", "#4040ff"
ERRORS = {"false positive: background": FALSE_POSITIVE, "false negative: missed foreground": FALSE_NEGATIVE}


@dataclass(frozen=True)
class Picture:
    """A test image and its masks.

    Attributes:
        image: (S, S, 3) uint8.
        truth: (S, S) bool, True on the foreground.
        masks: predictions, (S, S) bool by network.
        dice: by network.
    """

    name: str
    breed: str
    image: np.ndarray
    truth: np.ndarray
    masks: dict[str, np.ndarray]
    dice: dict[str, float]


def load_picture(inputs: Inputs, row: int) -> Picture:
    """Returns the picture of a row of the test split."""
    test = inputs.test.loc[row]
    return Picture(
        name=test["name"],
        breed=test["breed"],
        image=inputs.images[row],
        truth=inputs.trimaps[row] != 2,
        masks={name: inputs.masks[name][row] for name in NETWORKS},
        dice={name: test[name] for name in NETWORKS},
    )


def tile(picture: Picture, what: str) -> np.ndarray:
    """Returns the image, or a mask on the image with its errors, (TILE, TILE, 3) uint8.

    True positives keep their color, true negatives fade to gray, errors have the colors FALSE_POSITIVE and
    FALSE_NEGATIVE.

    Args:
        what: `image`, `truth` or the name of a network.
    """
    photo = np.asarray(Image.fromarray(picture.image).resize((TILE, TILE), Image.Resampling.BICUBIC))
    if what == "image":
        return photo
    truth = _enlarge(picture.truth)
    return mark(photo, truth if what == "truth" else _enlarge(picture.masks[what]), truth)


def mark(photo: np.ndarray, mask: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns a mask on its photograph, with its errors, in the colors that `tile` describes.

    Args:
        photo: (H, W, 3) uint8.
        mask: (H, W) bool.
        truth: (H, W) bool.
    """
    gray = photo.mean(axis=2, keepdims=True, dtype=np.float32)
    pixels = np.where(mask[..., None], photo, 0.3 * gray + 0.7 * 128)
    for wrong, color in ((mask & ~truth, FALSE_POSITIVE), (truth & ~mask, FALSE_NEGATIVE)):
        # The image shines through a little, to show what the network got wrong.
        pixels[wrong] = 0.2 * gray[wrong] + 0.8 * np.array(ImageColor.getrgb(color), dtype=np.float32)
    return pixels.round().astype(np.uint8)


def data_uri(pixels: np.ndarray) -> str:
    """Encodes (H, W, 3) uint8 pixels as a JPEG data URI, without chroma subsampling, which would blur the masks."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=86, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _enlarge(mask: np.ndarray) -> np.ndarray:
    """Resizes an (S, S) bool mask to TILE pixels by nearest neighbor, so that its pixels stay visible."""
    return np.asarray(Image.fromarray(mask).resize((TILE, TILE), Image.Resampling.NEAREST)) > 0
