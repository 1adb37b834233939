"""Measures one image with its mask: a few numbers and a tiny picture, from which all findings follow."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image

from petseg.audit import alignment
from petseg.audit.samples import Sample
from petseg.data import images
from petseg.data.images import BACKGROUND, BORDER, PET
from petseg.data.sources import masks
from petseg.runtime.errors import DataError

THUMB = 64  # pixels per side of the tiny picture that duplicates are searched with
SIDE = 512  # pixels of the longer side at which light and sharpness are measured, so that resolutions compare
SAME_FORMAT = {"MPO": "JPEG"}  # what phones write is a JPEG with a preview behind it
GRAY = 2.0  # mean difference of the channels, of 255, up to which an image is gray; JPEG makes 0 to 1 of gray
SPECK = 0.0005  # of the image's area; a smaller part is a speck, a smaller gap a hole: 94 pixels of 500 x 375


@dataclass
class Facts:
    """What an audit keeps of an image and its mask; all values are JSON values but `thumb`.

    Attributes:
        image_error, mask_error: why the file cannot be used, empty if it can.
        misfit: why image and mask do not fit each other, empty if they do.
        format: of the image's content, as Pillow names it.
        wrong_suffix: whether the suffix says otherwise.
        frames: pages or frames in the file.
        bits: how many of the bits of a 16-bit gray image are used; 0 for others.
        orientation: EXIF orientation, 1 to 8.
        taken: camera and second of the exposure; empty if unknown.
        gray: whether the image has no color.
        light: mean luminance, 0 to 1.
        contrast: standard deviation of the luminance, 0 to 1.
        sharpness: variance of the Laplacian over the variance of the luminance, at a longer side of SIDE pixels.
        pixels, mask_pixels: hash of the decoded pixels and their size.
        values: the distinct values in the mask file.
        pet, border: shares of the mask's area.
        frame: share of pet in the outermost pixels of the mask.
        specks, holes: parts of the foreground, and gaps in it, that are smaller than SPECK.
        band: width of the border band in pixels; 0 without.
        fit: how the edges of mask and image agree.
        upright_fit: the same for the image rotated as its EXIF orientation says, if it matters and was not applied.
        thumb: uint8 (THUMB, THUMB), the luminance; the image is rotated as its mask.
    """

    image_error: str = ""
    mask_error: str = ""
    misfit: str = ""
    format: str = ""
    wrong_suffix: bool = False
    frames: int = 1
    bits: int = 0
    orientation: int = 1
    taken: str = ""
    width: int = 0
    height: int = 0
    gray: bool = False
    light: float = 0.0
    contrast: float = 0.0
    sharpness: float = 0.0
    pixels: str = ""
    mask_pixels: str = ""
    values: Sequence[float] = field(default_factory=list)
    pet: float = 0.0
    border: float = 0.0
    frame: float = 0.0
    specks: int = 0
    holes: int = 0
    band: float = 0.0
    fit: dict[str, float] | None = None
    upright_fit: dict[str, float] | None = None
    thumb: np.ndarray = field(default_factory=lambda: np.zeros((THUMB, THUMB), np.uint8), compare=False)

    @property
    def usable(self) -> bool:
        """Whether image and mask could be read and have the same size."""
        return not (self.image_error or self.mask_error or self.misfit)

    @property
    def foreground(self) -> float:
        """Share of pet and border."""
        return self.pet + self.border


def measure(sample: Sample) -> Facts:
    """Decodes an image and its mask once, and measures them."""
    facts = Facts()
    photo, trimap = _open_image(sample.image, facts), _open_mask(sample, facts)
    if photo is None:
        return facts
    turned = images.upright(photo, facts.orientation)
    size = None if trimap is None else (trimap.shape[1], trimap.shape[0])
    if size is not None and size not in (photo.size, turned.size):
        facts.misfit = f"image {photo.width} x {photo.height}, mask {size[0]} x {size[1]}"
    used = turned if size == turned.size != photo.size else photo
    pixels = np.asarray(used)
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    _describe(pixels, gray, facts)
    if trimap is not None and not facts.misfit:
        facts.fit = alignment.fit(gray, trimap)
        if facts.orientation != 1 and used is photo and turned.size == photo.size:
            facts.upright_fit = alignment.fit(cv2.cvtColor(np.asarray(turned), cv2.COLOR_RGB2GRAY), trimap)
    return facts


def read_trimap(sample: Sample) -> np.ndarray:
    """The mask of a sample as a trimap, uint8 (H, W); raises DataError if it has unknown values."""
    if sample.trimap:
        return images.read_trimap(sample.mask)
    mask = masks.read(sample.mask)
    return masks.trimap(mask, masks.encoding([(sample.mask, frozenset(np.unique(mask).tolist()))]))


def read_photo(sample: Sample, size: tuple[int, int]) -> Image.Image:
    """The image of a sample as RGB; its EXIF orientation is applied only if it then has the size of the mask."""
    photo = images.decode(sample.image)
    turned = images.upright(photo, images.orientation(photo))
    return images.to_rgb(turned if turned.size == size != photo.size else photo, sample.image)


def _open_image(path: Path, facts: Facts) -> Image.Image | None:
    """Decodes an image to RGB and notes what its file says about itself."""
    try:
        image = images.decode(path)
        photo = images.to_rgb(image, path)
    except DataError as error:
        facts.image_error = str(error)
        return None
    facts.format = image.format or ""
    expected = Image.registered_extensions().get(path.suffix.lower(), "")
    facts.wrong_suffix = SAME_FORMAT.get(facts.format, facts.format) != SAME_FORMAT.get(expected, expected)
    facts.frames = 1 if facts.format == "MPO" else getattr(image, "n_frames", 1)
    if image.mode == "I" or image.mode.startswith("I;16"):
        facts.bits = int(np.asarray(image).max()).bit_length()
    facts.orientation = images.orientation(image)
    facts.taken = _taken(image)
    return photo


def _taken(image: Image.Image) -> str:
    """Camera and second of the exposure, such as "Canon EOS 5D|2011:05:01 10:11:12"; empty if unknown."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exif = image.getexif()
            second = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
            camera = exif.get(ExifTags.Base.Model)
    except Exception:  # Pillow's EXIF reader raises exceptions of any type on damaged metadata
        return ""
    return f"{camera}|{second}" if isinstance(camera, str) and isinstance(second, str) else ""


def _open_mask(sample: Sample, facts: Facts) -> np.ndarray | None:
    """Reads a mask and describes it; returns the trimap."""
    try:
        stored = images.read_trimap(sample.mask) if sample.trimap else masks.read(sample.mask)
        facts.values = _values(stored)
        trimap = stored
        if not sample.trimap:
            trimap = masks.trimap(stored, masks.encoding([(sample.mask, frozenset(facts.values))]))
    except DataError as error:
        facts.mask_error = str(error)
        return None
    counts = cv2.calcHist([trimap], [0], None, [4], [0, 4]).ravel() / trimap.size
    facts.pet, facts.border = float(counts[PET]), float(counts[BORDER])
    edges = np.concatenate([trimap[0], trimap[-1], trimap[:, 0], trimap[:, -1]])
    facts.frame = float((edges == PET).mean())
    facts.mask_pixels = _digest(trimap)
    facts.specks, facts.holes = _small_parts(trimap != BACKGROUND)
    facts.band = _band(trimap == BORDER)
    return trimap


def _values(numbers: np.ndarray) -> Sequence[float]:
    """The distinct values of a mask, sorted."""
    if numbers.dtype != np.uint8:
        return np.unique(numbers).tolist()
    return np.flatnonzero(cv2.calcHist([numbers], [0], None, [256], [0, 256])).tolist()


def _describe(pixels: np.ndarray, gray: np.ndarray, facts: Facts) -> None:
    """Notes size, light, color and sharpness of an image, uint8 (H, W, 3), whose luminance is `gray`."""
    facts.height, facts.width = gray.shape
    facts.pixels = _digest(pixels)
    facts.thumb = cv2.resize(gray, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
    scale = min(1.0, SIDE / max(gray.shape))
    size = (max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale)))
    small = gray if scale == 1 else cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    mean, deviation = (float(each[0, 0]) for each in cv2.meanStdDev(small))
    _, edges = cv2.meanStdDev(cv2.Laplacian(small, cv2.CV_32F))
    facts.light, facts.contrast = mean / 255, deviation / 255
    facts.sharpness = float(edges[0, 0] ** 2) / max(deviation**2, 1.0)
    tiny = cv2.resize(pixels, (THUMB, THUMB), interpolation=cv2.INTER_AREA).astype(np.int16)
    facts.gray = bool((tiny.max(axis=2) - tiny.min(axis=2)).mean() <= GRAY)


def _digest(pixels: np.ndarray) -> str:
    """A hash of the pixels and their shape."""
    digest = hashlib.sha256(str(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _small_parts(mask: np.ndarray) -> tuple[int, int]:
    """The numbers of separate parts of a mask, and of holes in it, whose area is below SPECK."""
    outlines, nesting = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    small = [cv2.contourArea(outline) < SPECK * mask.size for outline in outlines]
    is_hole = [] if nesting is None else [parent >= 0 for *_, parent in nesting[0]]
    specks = sum(each and not hole for each, hole in zip(small, is_hole, strict=True))
    return specks, sum(small) - specks


def _band(border: np.ndarray) -> float:
    """The width of a border band: twice its area over the length of its outline, which has two sides."""
    if not border.any():
        return 0.0
    inside = cv2.erode(border.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1)
    outline = int(border.sum()) - int(inside.sum())
    return 2.0 * float(border.sum()) / max(outline, 1)
