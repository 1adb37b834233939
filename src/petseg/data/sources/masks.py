"""Conversion of masks in common encodings (0/255, 0/1 or trimaps, in many formats) to trimaps.

The encoding is detected for a whole set of masks, because a single one may be ambiguous: a mask that is 1 everywhere is
all pet as 0/1 and as a trimap.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from petseg.data.images import BACKGROUND, PET, decode, list_values
from petseg.data.sources import nearby
from petseg.runtime.errors import DataError

ENCODINGS = {"0/255": {0, 255}, "0/1": {0, 1}, "trimap 1/2/3": {1, 2, 3}}
_SOFT = 8  # different gray levels between dark and bright that only soft edges have
EXPECTED = (
    "a mask is a PNG of 0 (background) and 255 (pet), or of 0 and 1, or a trimap of 1 (pet), 2 (background), 3 (border)"
)


def read(path: Path) -> np.ndarray:
    """Reads the values of a mask in any image format.

    One-bit images become 0 and 255, as does 16-bit white; gray images stored as color become gray. A palette image is
    read as its colors if they are black and white, otherwise as its indices. A JPEG, which blurs edges, must be 0/255
    and is thresholded at 128.

    Returns:
        (H, W), of any numeric dtype.

    Raises:
        DataError: the file cannot be decoded, is partly transparent or colored, or is a JPEG that is not black and
            white.
    """
    image = decode(path)
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        raise DataError(f"{path} is partly transparent, which can mean pet or background: {EXPECTED}.")
    if image.format == "JPEG":
        return _threshold(np.asarray(image.convert("L")), path)
    if image.mode in ("L", "I", "F") or image.mode.startswith("I;16"):
        numbers = np.asarray(image)
        return np.where(numbers == 65535, 255, numbers)
    colors = np.asarray(image.convert("RGB"))
    is_gray = (colors == colors[..., :1]).all()
    if image.mode == "P" and not (is_gray and np.isin(colors, (0, 255)).all()):
        return np.asarray(image)
    if not is_gray:
        raise DataError(f"{path} is colored: {EXPECTED}.")
    return colors[..., 0]


def values(path: Path) -> frozenset:
    """Returns the distinct values of a mask; raises DataError as `read`."""
    return frozenset(np.unique(read(path)).tolist())


def encoding(found: Iterable[tuple[Path, frozenset]]) -> str:
    """Detects the encoding of a set of masks: a key of ENCODINGS.

    If several fit (every mask is all background, or all pet), they give the same trimaps, so the first is returned.

    Args:
        found: the file and the `values` of each mask.

    Raises:
        DataError: the values of a mask fit no encoding, or none that fits the masks before it.
    """
    possible, decided_by = list(ENCODINGS), None
    for path, numbers in found:
        fitting = [name for name in possible if numbers <= ENCODINGS[name]]
        if not fitting:
            before = "" if decided_by is None else f", unlike {decided_by} ({' or '.join(possible)})"
            raise DataError(
                f"{path} holds the values {list_values(sorted(numbers))}{before}: {EXPECTED}, and all masks have the "
                f"same encoding; {_advice(path, numbers)}"
            )
        if fitting != possible:
            possible, decided_by = fitting, path
    return possible[0]


def _advice(path: Path, numbers: frozenset) -> str:
    """What to do about the unknown values of a mask."""
    source = path.parent.parent
    if 255 in numbers and sum(32 <= number < 224 for number in numbers) >= _SOFT:
        return f"if these are soft edges, {nearby.cure(source, '--threshold', '128')}"
    classes = [f"{number:g}" for number in sorted(numbers - {0, 255})[:2]]
    if len(numbers) > 3 and classes:
        some = ",".join(classes)
        return f"if these are class numbers, {nearby.cure(source, '--pet', 'all')} (or --pet {some} for some of them)"
    return nearby.cure(source)


def trimap(mask: np.ndarray, encoding: str) -> np.ndarray:
    """Converts a mask to a trimap. A border is never added: only trimaps have one.

    Args:
        mask: (H, W) from `read`, with the values of this encoding.
        encoding: a key of ENCODINGS.

    Returns:
        uint8, (H, W): 1 pet, 2 background, and 3 border if the mask is a trimap.
    """
    if encoding == "trimap 1/2/3":
        return mask.astype(np.uint8)
    return np.where(mask == 0, BACKGROUND, PET).astype(np.uint8)


def _threshold(gray: np.ndarray, path: Path) -> np.ndarray:
    """Restores the values 0 and 255 of a JPEG; refuses one that may have had others before its lossy compression."""
    clear = ((gray < 64) | (gray >= 192)).mean()
    if clear < 0.95 or 0 < gray.max() < 192:
        raise DataError(f"{path} is a JPEG whose values are not clearly 0 or 255: {EXPECTED}.")
    return np.where(gray >= 128, 255, 0)
