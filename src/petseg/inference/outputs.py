"""What is written for a photograph, and under which names."""

import errno
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageColor

from petseg.inference import cutout
from petseg.inference.photo import Photo
from petseg.inference.predictor import Prediction
from petseg.runtime.errors import DataError, PetsegError
from petseg.runtime.files import atomic_file

KINDS = ("mask", "cutout", "overlay", "probability")
FORMATS = {"png": "PNG", "webp": "WEBP", "jpg": "JPEG"}  # of cut-outs: suffix, Pillow's name
# Level 1 of 9 takes 40 % of the time of Pillow's default, for a cut-out of 12 megapixels, and 7 % more space.
_OPTIONS: dict[str, dict[str, Any]] = {
    "PNG": {"compress_level": 1},
    "WEBP": {"quality": 90, "method": 2},
    "JPEG": {"quality": 92, "subsampling": 0},  # whole chroma, which keeps the colored edges sharp
}
_MAX_SIDES = {"JPEG": 65_535, "WEBP": 16_383}  # pixels

Background = str | Image.Image  # a color as Pillow reads it, or a picture


@dataclass(frozen=True)
class Outputs:
    """Which results are written, and where.

    Below `folder`, the photograph `NAME` gets

        NAME_mask.png         8 bits, 255 for pet and 0 for background
        NAME_cutout.png       the pet: RGBA, with a soft edge; or NAME_cutout.webp; or NAME_cutout.jpg on a background
        NAME_overlay.jpg      the photograph with the background faded and the pet outlined
        NAME_probability.png  16 bits, 65535 times the probability of pet

    all of the size of the photograph, upright. Cut-out and overlay keep its ICC profile and EXIF.

    Args:
        folder: where to.
        kinds: some of `KINDS`.
        background: of the cut-outs; None for a transparent one.
        format: of the cut-outs, a key of `FORMATS`.
    """

    folder: Path
    kinds: Sequence[str] = ("mask", "cutout")
    background: Background | None = None
    format: str = "png"

    def paths(self, name: Path) -> list[Path]:
        """The files of a photograph whose results have this name."""
        return [self._path(name, kind) for kind in self.kinds]

    def _path(self, name: Path, kind: str) -> Path:
        suffix = {"cutout": self.format, "overlay": "jpg"}.get(kind, "png")
        return self.folder / name.parent / f"{name.name}_{kind}.{suffix}"

    def write(self, prediction: Prediction, name: Path, proceed: Callable[[], object] = lambda: None) -> None:
        """Writes the results of a photograph, each complete or not at all.

        Args:
            prediction: of the photograph.
            name: of the results.
            proceed: called before each step that can take a while; may raise to stop.

        Raises:
            DataError: the photograph is too large for a format, or its name too long.
            PetsegError: the disk is full.
        """
        probability = prediction.probability
        mask = probability > prediction.threshold
        if "mask" in self.kinds:
            write_array(self._path(name, "mask"), mask.view(np.uint8) * np.uint8(255))
        if "probability" in self.kinds:
            write_array(self._path(name, "probability"), (probability * 65535 + 0.5).astype(np.uint16))
        proceed()
        if "cutout" not in self.kinds and "overlay" not in self.kinds:
            return
        photo, rgb = prediction.photo, prediction.photo.rgb()
        if "overlay" in self.kinds:
            write_image(self._path(name, "overlay"), cutout.overlay(rgb, mask), "JPEG", photo)
            proceed()
        if "cutout" in self.kinds:
            image = cutout.cutout(rgb, probability, prediction.threshold)
            proceed()
            if self.background is not None:
                image = cutout.on_background(image, self.background)
            write_image(self._path(name, "cutout"), image, FORMATS[self.format], photo)


def prepare(folder: Path) -> None:
    """Creates the output folder; raises PetsegError if that is impossible or no file can be written to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        reason = "it is a file" if isinstance(error, FileExistsError | NotADirectoryError) else error.strerror
        raise PetsegError(f"The results cannot be written to {folder} ({reason}); name a folder with --out.") from None


def parse_background(text: str) -> Background:
    """The background that a user named: the color itself, such as `white` or `#ff8800`, or the image of a file.

    Raises:
        PetsegError: it is neither; or the file cannot be decoded.
    """
    try:
        ImageColor.getrgb(text)
    except ValueError:
        if Path(text).is_file():
            return Photo(text).rgb()
    else:
        return text
    raise PetsegError(f"--background is {text!r}, which is neither a color, such as white or #ff8800, nor a file.")


def write_array(path: Path, pixels: np.ndarray) -> None:
    """Writes (H, W) uint8 or uint16 as PNG. OpenCV takes a third of Pillow's time, and half the space."""
    with _writing(path) as part:
        part.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def write_image(path: Path, image: Image.Image, format: str, photo: Photo) -> None:
    """Writes a picture of the photograph, with its metadata."""
    largest = _MAX_SIDES.get(format)
    if largest and max(image.size) > largest:
        raise DataError(
            f"{path} cannot be written, because it would have {image.width} x {image.height} pixels and {format} files "
            f"have at most {largest} per side; make the photograph smaller, or choose others with --save and --format."
        )
    with _writing(path) as part:
        image.save(part, format, **_OPTIONS[format], **photo.metadata())


@contextmanager
def _writing(path: Path) -> Iterator[Path]:
    """As `atomic_file`; raises DataError if the name is too long for the file system."""
    try:
        with atomic_file(path) as part:
            yield part
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise DataError(f"{path} cannot be written, because its name is too long; rename the photograph.") from None
