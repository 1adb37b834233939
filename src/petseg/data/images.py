"""Photographs and trimaps as arrays: decoding, EXIF orientation and resizing."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from petseg.runtime.errors import DataError

PET, BACKGROUND, BORDER = 1, 2, 3  # the values of a trimap

# EXIF orientations, and the operation that undoes each; 5 to 8 swap width and height.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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

    The format is detected from the content, not from the suffix. Only the first frame of an animation is read. 16-bit
    channels are reduced to their high byte, transparent pixels are blended with white, color profiles are ignored. The
    EXIF orientation of the photograph is applied only if the sizes do not match without it and match with it: then the
    trimap was drawn on the rotated photograph.

    Returns:
        The image, uint8, (H, W, 3), RGB, and the trimap, uint8, (H, W), values 1 to 3.

    Raises:
        DataError: a file is missing, truncated or cannot be decoded; the photograph has 32-bit channels, whose range is
            unknown; the trimap is not one, as for `read_trimap`; or the sizes differ.
    """
    image, trimap = decode(image_path), read_trimap(trimap_path)
    height, width = trimap.shape
    if image.size != (width, height):
        turned = upright(image, orientation(image))
        if turned.size != (width, height):
            raise DataError(
                f"{image_path} is {image.width} x {image.height} pixels but {trimap_path} is {width} x {height}; "
                "replace one of them so that their sizes match."
            )
        image = turned
    return np.array(to_rgb(image, image_path)), trimap


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
    image = open_image(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged metadata does not affect the pixels
            image.load()
    except Exception as error:  # Pillow's decoders raise exceptions of any type on damaged content
        raise _undecodable(path, error) from None
    return image


def open_image(path: str | Path) -> Image.Image:
    """Reads an image file and decodes its header; `load` of the image decodes its pixels.

    Raises:
        DataError: the file is missing, unreadable or no image.
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
            warnings.simplefilter("ignore")
            return Image.open(io.BytesIO(content))
    except Exception as error:
        raise _undecodable(path, error) from None


def frames(image: Image.Image) -> int:
    """The number of pages of a TIFF or of frames of an animation; 1 for a photograph with previews (MPO)."""
    if image.format == "MPO":
        return 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(image, "n_frames", 1)
    except Exception:  # a later frame is damaged
        return 1


def is_wide(image: Image.Image) -> bool:
    """Whether an image has 16 bits per channel. Call it before the pixels are decoded."""
    stored = any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))
    return stored or image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")


def highest(image: Image.Image) -> int:
    """The greatest value of a decoded image with 16 bits per channel; of color, Pillow keeps only the high bytes."""
    values = np.asarray(image)
    return int(values.max()) if image.mode == "I" or image.mode.startswith("I;16") else int(values.max()) << 8


def _undecodable(path: str | Path, error: Exception) -> DataError:
    return DataError(
        f"{path} cannot be decoded ({reason(error)}); replace it, or remove {Path(path).stem} from the data set."
    )


def reason(error: Exception) -> str:
    """Why Pillow could not decode an image, for use in a sentence."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "unknown image format"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 if metadata is missing or damaged. Decodes a PNG whose metadata may come last."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            number = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # like the decoders, Pillow's EXIF reader raises exceptions of any type
        return 1
    return number if number in _TURNS else 1


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Rotates and flips an image as an EXIF orientation says."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def to_rgb(image: Image.Image, name: object, bits: int = 16) -> Image.Image:
    """Converts an image of any Pillow mode to RGB; transparent pixels are blended with white, profiles are ignored.

    Args:
        image: of any mode.
        name: what an error calls the image.
        bits: how many of the bits of a 16-bit gray image are used, 8 to 16; the highest eight of these are kept.

    Raises:
        DataError: the image has 32-bit channels, whose range is unknown.
    """
    if image.mode == "F" or (image.mode == "I" and image.format != "PPM"):  # 16-bit PGM files have mode I
        raise DataError(f"{name} has 32 bits per channel, whose range is unknown; save it with 8 or 16.")
    if image.mode == "I" or image.mode.startswith("I;16"):
        # As Pillow does for 16-bit color; its own conversion from these modes clips at 255.
        image = Image.fromarray((np.asarray(image) >> (bits - 8)).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("RGB")


def list_values(values: Sequence[float] | np.ndarray) -> str:
    """The first eight of some sorted numbers as text: "0, 128, 255"."""
    return ", ".join(f"{value:g}" for value in values[:8]) + (", ..." if len(values) > 8 else "")
