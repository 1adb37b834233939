"""Images of several pages, and images of 10 to 16 bits per channel."""

import warnings
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from petseg.data import images
from petseg.data.sources import folder
from petseg.inference.photo import Photo
from petseg.runtime.errors import DataError

_HEIF = (".heic", ".heif")


class Look(NamedTuple):
    """What the header of an image says."""

    pages: int
    size: tuple[int, int]  # as stored
    upright: tuple[int, int]  # turned as EXIF says
    wide: bool  # 16 bits per channel
    has_alpha: bool


class Range(NamedTuple):
    """The least and the greatest value of some images."""

    low: int
    high: int

    def union(self, other: "Range") -> "Range":
        """The range of both."""
        return Range(min(self.low, other.low), max(self.high, other.high))

    def stretch(self, values: np.ndarray) -> np.ndarray:
        """Maps `low` to 0 and `high` to 255, linearly: uint8."""
        scale = 255 / max(1, self.high - self.low)
        return np.rint((values.astype(np.float64) - self.low) * scale).clip(0, 255).astype(np.uint8)


def look(path: Path) -> Look:
    """Reads the header of an image.

    Raises:
        DataError: the file cannot be decoded, or HEIC needs a package.
    """
    if path.suffix.lower() in _HEIF:
        size = Photo(path).size
        return Look(1, size, size, False, False)
    image = images.open_image(path)
    is_wide = images.is_wide(image)  # before the orientation, for which a PNG is decoded
    turned = images.orientation(image) >= 5 and image.format != "TIFF"
    upright = (image.height, image.width) if turned else image.size
    return Look(images.frames(image), image.size, upright, is_wide, image.has_transparency_data)


def read(path: Path, page: int = 0) -> Image.Image:
    """Decodes one page of an image, in the file's own mode; HEIC becomes RGB.

    Raises:
        DataError: the page cannot be decoded, or HEIC needs a package.
    """
    if path.suffix.lower() in _HEIF:
        return Photo(path).rgb()
    image = images.open_image(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged metadata does not affect the pixels
            if page:
                image.seek(page)
            image.load()
    except Exception as error:  # Pillow's decoders raise exceptions of any type on damaged content
        where = f"Page {page + 1} of {path}" if page else str(path)
        raise DataError(f"{where} cannot be decoded ({images.reason(error)}); replace the file or remove it.") from None
    return image


def value_range(path: Path, page: int = 0) -> Range:
    """The range of the values of an image of 16 bits per channel."""
    values = _wide_values(path, page)
    return Range(int(values.min()), int(values.max()))


def as_is(path: Path, look: Look) -> bool:
    """Whether the source `folder` can use the file without a change."""
    return path.suffix.lower() in folder.SUFFIXES and look.pages == 1 and not look.wide


def convert(path: Path, page: int, look: Look, stretch: Range | None, drop_alpha: bool = False) -> Image.Image:
    """One page of an image as RGB or gray of 8 bits, in the orientation in which it is stored.

    Args:
        path: the file.
        page: from 0.
        look: of the file.
        stretch: the range of all images of 16 bits in the data set, if this is one.
        drop_alpha: keep the colors of transparent pixels, instead of blending them with white.
    """
    if look.wide:
        assert stretch is not None
        return Image.fromarray(stretch.stretch(_wide_values(path, page)))
    image = read(path, page)
    if drop_alpha:
        return image.convert("RGBA").convert("RGB")
    return images.to_rgb(image, path)


def _wide_values(path: Path, page: int) -> np.ndarray:
    """The values of an image of 16 bits per channel, gray or RGB; Pillow reads only the high bytes of color."""
    image = read(path, page)
    if image.mode == "I" or image.mode.startswith("I;16"):
        return np.asarray(image)
    content = np.frombuffer(path.read_bytes(), np.uint8)
    done, found = cv2.imdecodemulti(content, cv2.IMREAD_UNCHANGED, range=(page, page + 1))
    if not done or found[0].dtype != np.uint16 or found[0].ndim != 3:
        return np.asarray(image.convert("RGB")).astype(np.uint16) << 8
    return found[0][..., 2::-1]
