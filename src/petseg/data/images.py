"""Photographs and trimaps as arrays: decoding, EXIF orientation and resizing."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from petseg.runtime.errors import DataError

PET, BACKGROUND, BORDER = 1, 2, 3  # the values of a trimap

# EXIF orientations that swap width and height, and the operation that undoes each.
_TURNS = {
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(path: str | Path) -> np.ndarray:
    """Reads a photograph as stored, without applying its EXIF orientation.

    The format is detected from the content, not from the suffix. Only the first frame of an animation is read. 16-bit
    channels are reduced to their high byte, transparent pixels are blended with white, color profiles are ignored.

    Returns:
        uint8, (H, W, 3), RGB.

    Raises:
        DataError: the file is missing, truncated or cannot be decoded, or has 32-bit channels, whose range is unknown.
    """
    return _rgb(decode(path), path)


def read_trimap(path: str | Path) -> np.ndarray:
    """Reads a trimap as stored; for a palette image, its indices.

    Returns:
        uint8, (H, W), values PET (1), BACKGROUND (2) and BORDER (3).

    Raises:
        DataError: the file is missing, truncated or cannot be decoded, has several channels, or has other values.
    """
    trimap = np.asarray(decode(path))
    if trimap.ndim != 2 or trimap.dtype == np.float32:
        raise DataError(f"{path} has color or fractions; a trimap has one channel, of whole numbers 1, 2 and 3.")
    if trimap.min() < PET or trimap.max() > BORDER:
        raise DataError(
            f"{path} holds the values {list_values(np.unique(trimap))}; a trimap holds only 1 (pet), 2 (background) "
            "and 3 (border)."
        )
    return trimap.astype(np.uint8)


def read_pair(image_path: str | Path, trimap_path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a photograph and its trimap, pixel-aligned.

    The EXIF orientation of the photograph is applied only if the sizes do not match without it and match with it: then
    the trimap was drawn on the rotated photograph.

    Returns:
        The image, uint8, (H, W, 3), RGB, and the trimap, uint8, (H, W), values 1 to 3.

    Raises:
        DataError: as for `read_image` and `read_trimap`, or the sizes differ.
    """
    image, trimap = decode(image_path), read_trimap(trimap_path)
    height, width = trimap.shape
    if image.size != (width, height):
        turned = _apply_orientation(image)
        if turned.size != (width, height):
            raise DataError(
                f"{image_path} is {image.width} x {image.height} pixels but {trimap_path} is {width} x {height}; "
                "replace one of them so that their sizes match."
            )
        image = turned
    return _rgb(image, image_path), trimap


def resize_image(image: np.ndarray, size: int) -> np.ndarray:
    """Resizes uint8 (H, W, 3) to (size, size, 3): bilinear with antialiasing, as PIL and torchvision on PIL images."""
    return np.array(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))


def resize_trimap(trimap: np.ndarray, size: int) -> np.ndarray:
    """Resizes uint8 (H, W) to (size, size): nearest neighbor (pixel centers, as PIL), so that no new value appears."""
    return np.array(Image.fromarray(trimap).resize((size, size), Image.Resampling.NEAREST))


def decode(path: str | Path) -> Image.Image:
    """Decodes the first frame of an image file completely, in the file's own mode.

    Raises:
        DataError: the file is missing, unreadable, truncated or cannot be decoded.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; run `dvc repro fetch_data`, or put the file there.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); make it a readable file.") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged metadata does not affect the pixels
            image = Image.open(io.BytesIO(content))
            image.load()
    except Exception as error:  # Pillow's decoders raise exceptions of any type on damaged content
        unknown = isinstance(error, Image.UnidentifiedImageError)
        reason = "unknown image format" if unknown else " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise DataError(
            f"{path} cannot be decoded ({reason}); replace it, or remove {path.stem} from the data set."
        ) from None
    return image


def list_values(values: Sequence[float] | np.ndarray) -> str:
    """The first eight of some sorted numbers as text: "0, 128, 255"."""
    return ", ".join(f"{value:g}" for value in values[:8]) + (", ..." if len(values) > 8 else "")


def _apply_orientation(image: Image.Image) -> Image.Image:
    """Rotates by a quarter turn as the EXIF orientation says; ignores missing and damaged metadata."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # like the decoders, Pillow's EXIF reader raises exceptions of any type
        return image
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _rgb(image: Image.Image, path: str | Path) -> np.ndarray:
    """Converts an image of any Pillow mode to uint8 (H, W, 3)."""
    if image.mode == "F" or (image.mode == "I" and image.format != "PPM"):  # 16-bit PGM files have mode I
        raise DataError(f"{path} has 32 bits per channel, whose range is unknown; save it with 8 or 16.")
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Keep the high byte, as Pillow does for 16-bit color; its own conversion from these modes clips at 255.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.array(image.convert("RGB"))
