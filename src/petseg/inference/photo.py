"""Photographs as people have them: any common format, orientation, color mode and size."""

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageCms

from petseg.data import images
from petseg.runtime.errors import DataError

MAX_PIXELS = 500_000_000  # larger images are refused: RGB pixels take 4 bytes each in Pillow
_OVERSAMPLING = 2  # see `Photo.square`
_MAX_EXIF = 65_533  # bytes that a JPEG can hold

# Brands of HEIF files, bytes 8 to 12. Pillow reads AVIF, which can also have the brand mif1, by itself.
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")

# Several pictures in one file. A file of the format MPO, as many phones write, has a photograph and previews of it.
_SEVERAL = {
    "TIFF": "multi-page: only the first of {} pages is used",
    "HEIF": "several pictures: only the main one of {} is used",
}
_ANIMATED = "animated: only the first of {} frames is used"

# The EXIF tags that also hold for another file; the main directory of a TIFF also describes how its pixels are stored.
_KEPT_OF_TIFF = {
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.XResolution,
    ExifTags.Base.YResolution,
    ExifTags.Base.ResolutionUnit,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.HostComputer,
    ExifTags.Base.Copyright,
    ExifTags.IFD.Exif,
    ExifTags.IFD.GPSInfo,
}

_lock = threading.RLock()


@dataclass(frozen=True)
class _Header:
    """What a file says besides its pixels; `size` is upright."""

    size: tuple[int, int]
    icc_profile: bytes | None
    exif: bytes | None


class Photo:
    """A photograph.

    Pixels are decoded by each call of `square` and `rgb` and not kept; a file's bytes are. The format is detected from
    the content, not from the suffix. The EXIF orientation is applied, transparent pixels are blended with white. CMYK
    and gray are converted to sRGB by an embedded ICC profile if there is one. An RGB profile is not applied but
    returned by `metadata`.

    16-bit channels are reduced to 8 bits. Cameras and scanners store 10, 12 or 14 bits in 16, which would look black,
    so the highest 8 of the smallest of 8, 10, 12, 14 and 16 bits that hold the maximum are kept.

    Args:
        source: a file, a PIL image, which is not changed, or a uint8 array (H, W, 3), RGB.

    Attributes:
        path: the file, or None.
        notes: what a user should know, such as "animated: only the first of 12 frames is used". Complete after the
            first call of `square` or `rgb`.

    Raises:
        DataError: the file is missing, a folder, unreadable or no image, a HEIC file needs pillow-heif, or the image is
            empty or has more than MAX_PIXELS pixels. The methods raise it too, where the file is truncated or damaged.
    """

    def __init__(self, source: str | Path | Image.Image | np.ndarray) -> None:
        self.path = Path(source) if isinstance(source, str | Path) else None
        self.notes: list[str] = []
        self._header: _Header | None = None
        if isinstance(source, np.ndarray):
            source = _from_array(source)
        self._source = source if isinstance(source, Image.Image) else _read(Path(source))
        image = self._open()
        if image.width * image.height > MAX_PIXELS:
            raise DataError(
                f"{self._name} has {image.width} x {image.height} pixels, more than {MAX_PIXELS // 10**6} million; "
                "make it smaller."
            )
        if 0 in image.size:
            raise DataError(f"{self._name} has {image.width} x {image.height} pixels; use an image that is not empty.")
        if self.path is not None:
            self._note_frames(image)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, upright."""
        return self._read_header().size

    def square(self, size: int) -> np.ndarray:
        """Returns what a network sees: RGB pixels, uint8 (size, size, 3), resized as by `petseg.data.images`.

        JPEGs are decoded at 1/2, 1/4 or 1/8 of their size where at least 2 `size` pixels per side are left, which is
        several times faster: 9 times for 12 megapixels and a `size` of 256. Pixels then differ from those of a full
        decode by 0.25 of 255 on average; for photographs of 500 pixels and a `size` of 64, by 0.7. Without this
        oversampling they would differ by 0.6 and 1.7.
        """
        return images.resize_image(np.asarray(self._decode(_OVERSAMPLING * size)), size)

    def rgb(self) -> Image.Image:
        """Returns all pixels as a PIL image of mode RGB."""
        return self._decode()

    def metadata(self) -> dict[str, bytes]:
        """Returns `icc_profile` and `exif`, where there are any, to be passed to `PIL.Image.Image.save`.

        The orientation in `exif` is 1, because the pixels are upright. A profile of another color space than RGB is
        left out, and so is EXIF that is damaged or too long for a JPEG.
        """
        header = self._read_header()
        found = {"icc_profile": header.icc_profile, "exif": header.exif}
        return {key: value for key, value in found.items() if value}

    @property
    def _name(self) -> str:
        return "the image" if self.path is None else str(self.path)

    def _open(self) -> Image.Image:
        """Reads the header."""
        if isinstance(self._source, Image.Image):
            return self._source
        with _tolerant():
            try:
                return Image.open(io.BytesIO(self._source))
            except Image.UnidentifiedImageError as error:
                if self._source[4:8] != b"ftyp" or self._source[8:12] not in _HEIF:
                    raise self._undecodable(error) from None
            except Exception as error:  # Pillow's decoders raise exceptions of any type on damaged content
                raise self._undecodable(error) from None
            return self._open_heif(self._source)

    def _open_heif(self, content: bytes) -> Image.Image:
        try:
            import pillow_heif
        except ImportError:
            raise DataError(
                f"{self._name} is a HEIC file, which needs one more package; type `pip install pillow-heif`."
            ) from None
        try:
            return pillow_heif.HeifImageFile(io.BytesIO(content))
        except Exception as error:
            raise self._undecodable(error) from None

    def _decode(self, least: int | None = None) -> Image.Image:
        """Decodes to upright RGB; a JPEG at a fraction of its size, but with at least `least` pixels per side."""
        image = self._open()
        full = image.size
        wide = any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))
        reduced = least is not None and isinstance(self._source, bytes) and image.format in ("JPEG", "MPO")
        try:
            if least is not None and reduced:
                image.draft(None, (least, least))
            with _tolerant() if image.format == "TIFF" else nullcontext():  # it reads metadata again
                image.load()
            pixels = self._rgb_of_16_bits(image) if wide and image.mode in ("RGB", "RGBA", "LA") else None
            pixels = pixels or self._rgb(image)
        except DataError:
            raise
        except Exception as error:
            raise self._undecodable(error) from None
        self._header = self._header or _header(image, full if reduced else image.size)
        with _tolerant():
            orientation = images.orientation(image)
        return images.upright(pixels, orientation)

    def _rgb(self, image: Image.Image) -> Image.Image:
        """Converts a decoded image of any mode to RGB."""
        converted = self._rgb_by_profile(image)
        if converted is not None:
            return converted
        if image.mode == "CMYK":
            self._note("CMYK without a usable color profile: colors are approximate")
        bits = 16
        if image.mode.startswith("I;16"):
            bits = self._used_bits(np.asarray(image))
        return images.to_rgb(image, self._name, bits)

    def _rgb_by_profile(self, image: Image.Image) -> Image.Image | None:
        """Converts a CMYK or gray image to sRGB by its ICC profile; None without a usable one."""
        profile = image.info.get("icc_profile") or b""
        if (image.mode, _color_space(profile)) not in (("CMYK", b"CMYK"), ("L", b"GRAY")):
            return None
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            return None
        self._note(f"{'CMYK' if image.mode == 'CMYK' else 'gray'}: converted to sRGB by its color profile")
        return converted

    def _rgb_of_16_bits(self, image: Image.Image) -> Image.Image | None:
        """Decodes a PNG or TIFF of 16-bit color, of which Pillow reads only the high bytes; None if OpenCV cannot."""
        if not isinstance(self._source, bytes):
            return None
        values = cv2.imdecode(np.frombuffer(self._source, np.uint8), cv2.IMREAD_UNCHANGED)
        if values is None or values.dtype != np.uint16 or values.ndim != 3:
            return None
        bits = self._used_bits(values[..., :3])
        pixels = np.empty(values.shape, np.uint8)
        for channel, place in zip(range(values.shape[2]), (2, 1, 0, 3), strict=False):  # from BGR, BGRA
            pixels[..., place] = np.right_shift(values[..., channel], 8 if place == 3 else bits - 8)
        return images.to_rgb(Image.fromarray(pixels), self._name)

    def _used_bits(self, values: np.ndarray) -> int:
        bits = next(bits for bits in (8, 10, 12, 14, 16) if values.max() < 2**bits)
        if bits < 16:
            self._note(f"16 bits per channel, of which {bits} are used: scaled accordingly")
        return bits

    def _read_header(self) -> _Header:
        if self._header is None:
            image = self._open()
            self._header = _header(image, image.size)
        return self._header

    def _note_frames(self, image: Image.Image) -> None:
        if image.format == "MPO":
            return
        with _tolerant():
            try:
                count = getattr(image, "n_frames", 1)
            except Exception:  # a later frame is damaged
                return
        if count > 1:
            self._note(_SEVERAL.get(image.format or "", _ANIMATED).format(count))

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _undecodable(self, error: Exception) -> DataError:
        return DataError(
            f"{self._name} cannot be decoded ({images.reason(error)}); copy it again from where it came, or convert it "
            "to JPEG or PNG."
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; check its name.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; name a photograph.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); make it a readable file.") from None


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise DataError(f"The image is an array of {array.dtype} {array.shape}; it must be uint8 (H, W, 3).")
    return Image.fromarray(np.ascontiguousarray(array))


def _header(image: Image.Image, size: tuple[int, int]) -> _Header:
    """Reads the metadata of an image that is `size` pixels large as stored."""
    with _tolerant():
        # Pillow swaps the sides of a TIFF itself.
        if images.orientation(image) >= 5 and image.format != "TIFF":
            size = (size[1], size[0])
        exif = _normalized_exif(image, size)
    profile = image.info.get("icc_profile")
    fits = image.mode != "CMYK" and _color_space(profile) == b"RGB "
    return _Header(size, profile if fits else None, exif)


def _normalized_exif(image: Image.Image, size: tuple[int, int]) -> bytes | None:
    """EXIF with orientation 1 and the upright size; None if there is none, or it is damaged or too long."""
    try:
        exif = Image.Exif()
        exif.load(image.getexif().tobytes())  # a copy
        if image.format == "TIFF":
            for tag in set(exif) - _KEPT_OF_TIFF:
                del exif[tag]
        if not exif:
            return None
        exif[ExifTags.Base.Orientation] = 1
        details = exif.get_ifd(ExifTags.IFD.Exif)
        if ExifTags.Base.ExifImageWidth in details:
            details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight] = size
        content = exif.tobytes()
    except Exception:  # Pillow's EXIF reader raises exceptions of any type on damaged content
        return None
    return content if len(content) <= _MAX_EXIF else None


def _color_space(icc_profile: bytes | None) -> bytes:
    """The color space of an ICC profile, such as b"RGB ", b"CMYK" or b"GRAY"."""
    return icc_profile[16:20] if icc_profile else b""


@contextmanager
def _tolerant() -> Iterator[None]:
    """Lets Pillow read headers of large images, and damaged metadata, without a warning or an error.

    Both are settings of the process, so only one thread at a time is in this block, and only for a moment.
    """
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit
