"""Outlines of objects, drawn as masks."""

import base64
import io
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from petseg.runtime.errors import DataError

_SCALE = 3  # polygons are drawn larger by this factor and sampled at the centers of pixels
_CORNERS = 72  # of the polygon that stands for an ellipse
_FARTHEST = 1e6  # pixels; coordinates beyond are an error


class Shape(NamedTuple):
    """An object in an image: polygons that are united, or a mask."""

    label: str
    polygons: tuple[np.ndarray, ...] = ()  # each (N, 2): x, y in pixels, float
    bitmap: tuple[int, int, np.ndarray] | None = None  # left, top, mask (H, W)
    rle: dict[str, Any] | None = None  # run lengths of COCO, with the size of the image


def polygon(numbers: Sequence[Any]) -> np.ndarray:
    """(N, 2) from points [[x, y], ...] or from numbers [x, y, x, y, ...]; raises ValueError if they are none."""
    points = np.asarray(numbers, float).reshape(-1, 2)
    if not np.isfinite(points).all() or (np.abs(points) > _FARTHEST).any():
        raise ValueError("coordinates far outside the image")
    return points


def rectangle(x: float, y: float, width: float, height: float) -> np.ndarray:
    """The four corners of a rectangle."""
    return polygon([x, y, x + width, y, x + width, y + height, x, y + height])


def ellipse(x: float, y: float, radius_x: float, radius_y: float, degrees: float = 0) -> np.ndarray:
    """A polygon around an ellipse with the center (x, y), turned clockwise."""
    angles, turn = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False), np.deg2rad(degrees)
    across, along = radius_x * np.cos(angles), radius_y * np.sin(angles)
    points = [x + across * np.cos(turn) - along * np.sin(turn), y + across * np.sin(turn) + along * np.cos(turn)]
    return polygon(np.stack(points, axis=1).ravel().tolist())


def runs(counts: Sequence[int], width: int, height: int) -> np.ndarray:
    """A mask (H, W) from the lengths of its runs, row by row, of background and object in turn."""
    if min(width, height) < 1 or width * height > 10**8 or sum(counts) != width * height:
        raise ValueError("run lengths that do not fill their box")
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width)


def png(text: str) -> np.ndarray:
    """A mask (H, W) from a PNG in base64."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) > 0


def draw(shapes: Iterable[Shape], size: tuple[int, int]) -> np.ndarray:
    """The union of some shapes: bool (H, W), for an image of `size` (width, height).

    A pixel belongs to a polygon if its center does.

    Raises:
        DataError: COCO's run lengths need pycocotools, or are damaged.
    """
    mask = np.zeros(size[::-1], bool)
    for shape in shapes:
        for points in shape.polygons:
            _draw_polygon(points, mask)
        if shape.bitmap is not None:
            _paste(*shape.bitmap, mask)
        if shape.rle is not None:
            if shape.rle.get("size") != [size[1], size[0]]:  # checked first: a wrong one can be huge
                raise DataError(f"A run-length mask of {shape.label} has another size than its image.")
            mask |= _decode(shape.rle)
    return mask


def _draw_polygon(points: np.ndarray, mask: np.ndarray) -> None:
    height, width = mask.shape
    if len(points) < 3:
        return
    left, top = np.floor(points.min(axis=0)).clip(0, (width, height)).astype(int)
    right, bottom = np.ceil(points.max(axis=0)).clip(0, (width, height)).astype(int)
    if right <= left or bottom <= top:
        return
    canvas = Image.new("L", (_SCALE * int(right - left), _SCALE * int(bottom - top)))
    scaled = (points - (left, top)) * _SCALE
    ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in scaled], fill=1)
    mask[top:bottom, left:right] |= np.asarray(canvas)[_SCALE // 2 :: _SCALE, _SCALE // 2 :: _SCALE] > 0


def _paste(left: int, top: int, part: np.ndarray, mask: np.ndarray) -> None:
    """Unites a mask with a part of another one; what is outside is cut off."""
    part = part[max(0, -top) :, max(0, -left) :]
    where = mask[max(0, top) :, max(0, left) :][: part.shape[0], : part.shape[1]]
    where |= part[: where.shape[0], : where.shape[1]]


def _decode(rle: dict[str, Any]) -> np.ndarray:
    try:
        from pycocotools import mask as coco  # pyright: ignore[reportMissingModuleSource]
    except ImportError:
        raise DataError(
            "The annotations hold run-length masks of COCO, which need one more package; run "
            '`pip install "petseg[coco]"`.'
        ) from None
    try:
        height, width = rle["size"]
        if isinstance(rle["counts"], list):
            runs(rle["counts"], width, height)  # pycocotools does not check that they fill the image
            rle = coco.frPyObjects(rle, height, width)  # pyright: ignore[reportCallIssue, reportArgumentType]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pycocotools uses what NumPy deprecates
            return coco.decode(rle).astype(bool)  # pyright: ignore[reportArgumentType]
    except Exception as error:  # pycocotools raises exceptions of any type on damaged content
        raise DataError(f"A run-length mask of the annotations is damaged ({error}); export them again.") from None
