"""Reads masks of any format as arrays of values."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from petseg.importing import decoding

MOST = 512  # values of a mask that are counted; more occur in photographs and in soft edges of 16 bits
_BLUR = 12  # differences of color that compression makes in a gray JPEG


class Seen(NamedTuple):
    """The values of one mask."""

    kind: str  # numbers, palette, color or alpha
    counts: dict[int, int]  # pixels by number, index or color; a color is 0xRRGGBB
    colors: dict[int, int] = {}  # noqa: RUF012, of the indices of a palette
    lossy: bool = False  # a JPEG


class Reading(NamedTuple):
    """The values of one mask, as an array."""

    kind: str  # as in `Seen`
    values: np.ndarray  # int64 (H, W)
    colors: dict[int, int]
    lossy: bool


def read(path: Path, page: int = 0, wanted: str = "numbers") -> Reading:
    """Reads a mask of any format. Of one with transparent pixels, the transparency is the mask.

    Args:
        path: the file.
        page: from 0.
        wanted: `numbers`; `color`: colors, where transparent pixels are 0; `alpha`: the transparency, even if there is
            none.

    Raises:
        DataError: the file cannot be decoded.
    """
    image = decoding.read(path, page)
    alpha = np.asarray(image.convert("RGBA"))[..., 3] if image.has_transparency_data or wanted == "alpha" else None
    is_cut = alpha is not None and alpha.min() < 255
    colors: dict[int, int] = {}
    if alpha is not None and (wanted == "alpha" or (is_cut and wanted == "numbers")):
        kind, values = "alpha", alpha
    elif wanted == "color":
        kind, values = "color", _colors(image) * (1 if alpha is None else alpha > 127)
    elif image.mode == "P" and not _is_black_and_white(image):
        kind, values, colors = "palette", np.asarray(image), _palette(image)
    elif (numbers := _numbers(image)) is not None:
        kind, values = "numbers", numbers
    else:
        kind, values = "color", _colors(image)
    return Reading(kind, values.astype(np.int64), colors, image.format == "JPEG")


def look(path: Path, page: int = 0, wanted: str = "numbers") -> Seen:
    """Counts the values of a mask, as `read` gives them."""
    reading = read(path, page, wanted)
    return Seen(reading.kind, _count(reading.values), reading.colors, reading.lossy)


def _numbers(image: Image.Image) -> np.ndarray | None:
    """The gray values of an image as whole numbers; None if it is colored."""
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image))
        scale = 255 if values.max(initial=0) <= 1 and (values % 1 != 0).any() else 1
        return np.rint(values * scale).astype(np.int64)
    if image.mode in ("L", "I") or image.mode.startswith("I;16"):
        return np.asarray(image)
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    colors = np.asarray(image.convert("RGB"))
    spread = colors.max(axis=-1) - colors.min(axis=-1)
    return np.asarray(image.convert("L")) if spread.max() <= (_BLUR if image.format == "JPEG" else 0) else None


def _colors(image: Image.Image) -> np.ndarray:
    red, green, blue = np.moveaxis(np.asarray(image.convert("RGB")).astype(np.int64), -1, 0)
    return red << 16 | green << 8 | blue


def _palette(image: Image.Image) -> dict[int, int]:
    """The colors of the indices that an image uses."""
    indices, colors = np.asarray(image), _colors(image)
    used, first = np.unique(indices, return_index=True)
    return {int(index): int(colors.flat[at]) for index, at in zip(used, first, strict=True)}


def _is_black_and_white(image: Image.Image) -> bool:
    return set(_palette(image).values()) <= {0, 0xFFFFFF}


def _count(values: np.ndarray) -> dict[int, int]:
    found, counts = np.unique(values, return_counts=True)
    most = np.argsort(-counts, kind="stable")[:MOST]
    return {int(found[i]): int(counts[i]) for i in most}
