"""Photographs and trimaps as arrays: decoding, whatever the format, and the two resize conventions."""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from petseg.runtime.errors import DataError

PET, BACKGROUND, BORDER = 1, 2, 3  # the values of a trimap

# The EXIF orientations that swap width and height, and what undoes each.
_TURNS = {
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(path: str | Path) -> np.ndarray:
    """Reads a photograph as it is stored; its EXIF orientation is not applied.

    The format is found from the bytes, not from the suffix. Of an animation the first frame is taken, of 16-bit
    channels the high byte; what is transparent is laid over white, as a viewer shows it; colour profiles are ignored.

    Returns:
        uint8, (H, W, 3), RGB.

    Raises:
        DataError: the file is missing, undecodable or truncated, or has 32-bit channels, whose range is not known.
    """
    return _rgb(_decode(Path(path)), path)


def read_trimap(path: str | Path) -> np.ndarray:
    """Reads a trimap as it is stored: of a palette image the indices.

    Returns:
        uint8, (H, W), values PET (1), BACKGROUND (2) and BORDER (3).

    Raises:
        DataError: the file is missing, undecodable or truncated, has several channels or other values.
    """
    trimap = np.asarray(_decode(Path(path)))
    if trimap.ndim != 2:
        raise DataError(f"{path} has {trimap.shape[2]} channels; a trimap has one, with values 1, 2 and 3.")
    if trimap.dtype == np.uint8:  # the usual: then the least and the greatest tell, much faster
        known = trimap.min() >= PET and trimap.max() <= BORDER
    else:
        known = np.isin(trimap, (PET, BACKGROUND, BORDER)).all()
    if not known:
        values = [f"{value:g}" for value in np.unique(trimap)]
        listed = ", ".join(values[:8]) + (", ..." if len(values) > 8 else "")
        raise DataError(
            f"{path} holds the values {listed}; a trimap holds only 1 (pet), 2 (background) and 3 (border)."
        )
    return trimap.astype(np.uint8)


def read_pair(image_path: str | Path, trimap_path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a photograph and its trimap, which lie on each other pixel by pixel.

    A photograph is taken as it is stored, unless only its EXIF orientation makes it as wide and high as its trimap:
    then whoever drew the trimap saw it turned, and it is turned here too.

    Returns:
        The image, uint8, (H, W, 3), RGB; the trimap, uint8, (H, W), values 1 to 3.

    Raises:
        DataError: as for `read_image` and `read_trimap`; or the sizes differ either way.
    """
    image, trimap = _decode(Path(image_path)), read_trimap(trimap_path)
    height, width = trimap.shape
    if image.size != (width, height):
        turned = _turned(image)
        if turned.size != (width, height):
            raise DataError(
                f"{image_path} is {image.width} x {image.height} pixels but {trimap_path} is {width} x {height}; "
                "replace one of them, so that they lie on each other."
            )
        image = turned
    return _rgb(image, image_path), trimap


def resize_image(image: np.ndarray, size: int) -> np.ndarray:
    """uint8 (H, W, 3) -> (size, size, 3): bilinear with antialiasing, as PIL does (and torchvision on PIL images)."""
    return np.array(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))


def resize_trimap(trimap: np.ndarray, size: int) -> np.ndarray:
    """uint8 (H, W) -> (size, size): nearest neighbour (pixel centres, as PIL does), so that no new value appears."""
    return np.array(Image.fromarray(trimap).resize((size, size), Image.Resampling.NEAREST))


def decode(path: Path, cure: str) -> Image.Image:
    """The first frame of an image file, decoded whole, in the file's own mode.

    Raises:
        DataError: it is missing, cannot be read, or cannot be decoded; then the sentence ends with `cure`.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; run `dvc repro fetch_data`, or put the file there.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); make it a readable file.") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged metadata does the pixels no harm
            image = Image.open(io.BytesIO(content))
            image.load()
    except Exception as error:  # on damaged bytes Pillow's decoders raise whatever they stumble over
        reason = "no known image format" if isinstance(error, Image.UnidentifiedImageError) else _one_line(error)
        raise DataError(f"{path} cannot be decoded ({reason}); {cure}.") from None
    return image


def _decode(path: Path) -> Image.Image:
    return decode(path, cure=f"fetch or copy it again, or take {path.stem} out of its list")


def _turned(image: Image.Image) -> Image.Image:
    """A quarter turn as the EXIF orientation says; the same image where it says none, is missing or damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # like the decoders, on damaged bytes Pillow's EXIF reader raises whatever it stumbles over
        return image
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _rgb(image: Image.Image, path: str | Path) -> np.ndarray:
    """uint8 (H, W, 3) of an image in any of Pillow's modes."""
    if image.mode == "F" or (image.mode == "I" and image.format != "PPM"):  # 16-bit PGM files are read as I
        raise DataError(f"{path} has 32 bits a channel, whose range is not known; save it with 8 or 16.")
    if image.mode == "I" or image.mode.startswith("I;16"):
        # The high byte: what Pillow itself keeps of 16-bit colour. Its own conversion from these modes clips at 255.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.array(image.convert("RGB"))
