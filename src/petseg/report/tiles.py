"""Small pictures that show a mask on its image: what a network cut out, and where it is wrong."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from petseg.config.networks import NETWORKS
from petseg.report.inputs import Inputs, read_masks

TILE = 256  # pixels a side: sharp on a phone, small in a page
# Yellow and magenta stay apart in every common colour blindness (they differ in lightness), and neither is a network's
# colour.
FALSE_POSITIVE = (255, 214, 10)
FALSE_NEGATIVE = (224, 33, 138)


@dataclass(frozen=True)
class Picture:
    """A test image with all that is shown of it.

    Attributes:
        image: uint8 (S, S, 3).
        truth: bool (S, S), True on the pet and its border.
        masks: bool (S, S) by network.
        dice: Dice by network.
    """

    name: str
    breed: str
    species: str
    image: np.ndarray
    truth: np.ndarray
    masks: dict[str, np.ndarray]
    dice: dict[str, float]


def load_pictures(inputs: Inputs, rows: Iterable[int]) -> dict[int, Picture]:
    """The pictures of some rows of the test split; nothing else is read into memory."""
    rows = sorted(set(rows))
    masks = {name: read_masks(inputs.predictions, name, rows) for name in NETWORKS}
    pictures = {}
    for row in rows:
        facts = inputs.test.loc[row]
        pictures[row] = Picture(
            name=facts["name"],
            breed=facts["breed"],
            species=facts["species"],
            image=np.array(inputs.images[row]),
            truth=np.array(inputs.trimaps[row]) != 2,
            masks={name: masks[name][row] for name in NETWORKS},
            dice={name: float(facts[name]) for name in NETWORKS},
        )
    return pictures


def photo_tile(image: np.ndarray) -> np.ndarray:
    """An image, uint8 (S, S, 3), at TILE pixels."""
    return np.asarray(Image.fromarray(image).resize((TILE, TILE), Image.Resampling.BICUBIC))


def mask_tile(image: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image cut out along `mask`, its errors painted over: uint8 (TILE, TILE, 3).

    What is rightly cut out keeps its colours, what is rightly left out fades to grey; FALSE_POSITIVE is background
    within the mask, FALSE_NEGATIVE is pet outside it. With `mask` = `truth` it shows the truth.

    Args:
        image: uint8 (S, S, 3).
        truth: bool (S, S).
        mask: bool (S, S).
    """
    photo = photo_tile(image).astype(np.float32)
    truth, mask = _enlarge(truth), _enlarge(mask)
    grey = photo.mean(axis=2, keepdims=True)
    tile = np.where(mask[..., None], photo, 0.3 * grey + 0.7 * 128)
    for wrong, colour in ((mask & ~truth, FALSE_POSITIVE), (truth & ~mask, FALSE_NEGATIVE)):
        # A little of the image shines through, so that one sees what was mistaken.
        tile[wrong] = 0.2 * grey[wrong] + 0.8 * np.array(colour, dtype=np.float32)
    return tile.round().astype(np.uint8)


def data_uri(tile: np.ndarray) -> str:
    """A uint8 (H, W, 3) picture as a JPEG within a URI; colours at full resolution, for the edges of masks."""
    buffer = io.BytesIO()
    Image.fromarray(tile).save(buffer, "JPEG", quality=86, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _enlarge(mask: np.ndarray) -> np.ndarray:
    """A bool (S, S) mask at TILE pixels, by nearest neighbour: its pixels stay visible."""
    return np.asarray(Image.fromarray(mask).resize((TILE, TILE), Image.Resampling.NEAREST)) > 0
