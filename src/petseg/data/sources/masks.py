"""The masks that people have (0/255, 0/1 or trimaps, in many formats), and the trimaps that they become.

What the values mean is decided for a whole set of masks: one mask alone that is 1 everywhere could be two things.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from petseg.data.images import BACKGROUND, PET, decode
from petseg.runtime.errors import DataError

KINDS = {"0/255": {0, 255}, "0/1": {0, 1}, "trimap 1/2/3": {1, 2, 3}}
CURE = (
    "a mask is a PNG of 0 (background) and 255 (pet), or of 0 and 1, or a trimap of 1 (pet), 2 (background), 3 (border)"
)


def read(path: Path) -> np.ndarray:
    """Reads a mask's numbers, whatever the image format.

    One-bit images count as 0 and 255, full 16-bit white as 255; colour is read as grey where it is grey; a palette
    stands for its colours where they are black and white, and for its indices otherwise. A JPEG, which blurs edges,
    can only be 0/255 and is cut at 128.

    Returns:
        A number for each pixel, (H, W), of whatever type.

    Raises:
        DataError: the file cannot be decoded, is partly transparent or coloured, or is a JPEG that is not black and
            white.
    """
    image = decode(path, cure="replace it, or remove it and its image")
    if image.has_transparency_data and image.convert("RGBA").getextrema()[3][0] < 255:
        raise DataError(f"{path} is partly transparent, which can mean pet or background: {CURE}.")
    if image.format == "JPEG":
        return _cut(np.asarray(image.convert("L")), path)
    if image.mode in ("L", "I", "F") or image.mode.startswith("I;16"):
        numbers = np.asarray(image)
        return np.where(numbers == 65535, 255, numbers)
    colours = np.asarray(image.convert("RGB"))
    is_grey = (colours == colours[..., :1]).all()
    if image.mode == "P" and not (is_grey and np.isin(colours, (0, 255)).all()):
        return np.asarray(image)
    if not is_grey:
        raise DataError(f"{path} is coloured: {CURE}.")
    return colours[..., 0]


def values(path: Path) -> frozenset:
    """The different numbers in a mask; DataError as for `read`."""
    return frozenset(np.unique(read(path)).tolist())


def kind(found: Iterable[tuple[Path, frozenset]]) -> str:
    """What the values of a set of masks mean: a key of KINDS.

    Where several fit (every mask is all background, or all pet) they agree in what each value means, so any will do.

    Args:
        found: each mask's file and `values`.

    Raises:
        DataError: a mask's values fit no kind, or none that fits those before it.
    """
    possible, decided_by = list(KINDS), None
    for path, numbers in found:
        fitting = [name for name in possible if numbers <= KINDS[name]]
        if not fitting:
            listed = ", ".join(f"{number:g}" for number in sorted(numbers)[:8]) + (", ..." if len(numbers) > 8 else "")
            before = "" if decided_by is None else f", unlike {decided_by} ({' or '.join(possible)})"
            soft = " Soft edges must be cut at 128 first." if len(numbers) > 3 else ""
            raise DataError(f"{path} holds the values {listed}{before}: {CURE}, and all masks are of one kind.{soft}")
        if fitting != possible:
            possible, decided_by = fitting, path
    return possible[0]


def trimap(mask: np.ndarray, kind: str) -> np.ndarray:
    """A mask as a trimap. No border band is made up: where the mask has none, the trimap has none.

    Args:
        mask: (H, W) from `read`, with values of this kind.
        kind: a key of KINDS.

    Returns:
        uint8, (H, W): 1 pet, 2 background, and 3 border where the mask is a trimap.
    """
    if kind == "trimap 1/2/3":
        return mask.astype(np.uint8)
    return np.where(mask == 0, BACKGROUND, PET).astype(np.uint8)


def _cut(grey: np.ndarray, path: Path) -> np.ndarray:
    """0 and 255 of a JPEG that was black and white; what else it may have been cannot be told after the loss."""
    clear = ((grey < 64) | (grey >= 192)).mean()
    if clear < 0.95 or 0 < grey.max() < 192:
        raise DataError(f"{path} is a JPEG whose values are not clearly 0 or 255: {CURE}.")
    return np.where(grey >= 128, 255, 0)
