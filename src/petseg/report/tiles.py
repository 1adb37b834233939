"""Small pictures of a mask on its image: what a network segmented, and where it is wrong."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageColor

from petseg.config.networks import NETWORKS
from petseg.report.inputs import Inputs

TILE = 256  # pixels per side: sharp on a phone, small in a file
# Yellow and magenta differ in lightness, so they can be distinguished with every kind of color blindness; neither is
# the color of a network.
FALSE_POSITIVE, FALSE_NEGATIVE = "#ffd60a", "#e0218a"
ERRORS = {
    "false positive: background": FALSE_POSITIVE,
    "false negative: missed foreground": FALSE_NEGATIVE,
}


@dataclass(frozen=True)
class Picture:
    """A test image and its masks.

    Attributes:
        image: (S, S, 3) uint8.
        truth: (S, S) bool, True on the foreground.
        masks: (S, S) bool by network.
        dice: by network.
    """

    name: str
    breed: str
    image: np.ndarray
    truth: np.ndarray
    masks: dict[str, np.ndarray]
    dice: dict[str, float]


def load_pictures(inputs: Inputs, rows: Iterable[int]) -> dict[int, Picture]:
    """Reads the pictures of some rows of the test split."""
    rows = sorted(set(rows))
    masks = {name: inputs.masks[name][rows] for name in NETWORKS}
    pictures = {}
    for place, row in enumerate(rows):
        test = inputs.test.loc[row]
        pictures[row] = Picture(
            name=test["name"],
            breed=test["breed"],
            image=np.array(inputs.images[row]),
            truth=np.array(inputs.trimaps[row]) != 2,
            masks={name: masks[name][place] for name in NETWORKS},
            dice={name: test[name] for name in NETWORKS},
        )
    return pictures


def tile(picture: Picture, what: str) -> np.ndarray:
    """Returns the tile `image`, `truth` or that of a network's prediction: (TILE, TILE, 3) uint8."""
    if what == "image":
        return photo_tile(picture.image)
    return mask_tile(picture.image, picture.truth, picture.truth if what == "truth" else picture.masks[what])


def photo_tile(image: np.ndarray) -> np.ndarray:
    """Resizes an image, (S, S, 3) uint8, to TILE pixels."""
    return np.asarray(Image.fromarray(image).resize((TILE, TILE), Image.Resampling.BICUBIC))


def mask_tile(image: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Shows a mask on its image, with its errors: (TILE, TILE, 3) uint8.

    True positives keep their color, true negatives fade to gray, errors have the colors FALSE_POSITIVE and
    FALSE_NEGATIVE. With `mask` = `truth` the tile shows the ground truth.

    Args:
        image: (S, S, 3) uint8.
        truth: (S, S) bool.
        mask: (S, S) bool, the prediction.
    """
    photo = photo_tile(image).astype(np.float32)
    truth, mask = _enlarge(truth), _enlarge(mask)
    gray = photo.mean(axis=2, keepdims=True)
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
