"""Whether two images show the same photograph, however resized, compressed, mirrored, marked or cropped.

Three steps, each slower and stricter than the one before: hashes of the tiny pictures, over all pairs; alignment of the
tiny pictures; alignment of the images themselves. Only the last one decides. Limits are from eight kinds of planted
copies and all pairs of 2,813 photographs of Oxford-IIIT Pet, see benchmarks/audit.md.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from petseg.audit.facts import THUMB

HASH = 8  # a hash has HASH x HASH bits: is a cell brighter than its left neighbor
BITS = 10  # of 64 may differ: 99 % of the copies do not, and 7 of 10,000 unrelated pairs, over all windows
FLAT = 2.0  # standard deviation of a tiny picture, of 255, below which a hash is noise
PER_IMAGE = 20  # candidates that are followed up for an image, the nearest first; bounds the work on a film's frames
SKETCH = 32  # pixels per side at which candidates are compared before any alignment
SKETCHES_AGREE = 0.3  # correlation of the sketches: misaligned by up to a pixel, 99 % of the copies have more
THUMBS_AGREE = 0.6  # correlation of the aligned tiny pictures; copies have 0.67 and more, 95 % of other candidates 0.46
FINE = 192  # pixels of the longer side for the decision
SAME = 0.8  # correlation of the aligned images; planted copies have 0.84 and more, framed strangers 0.74
OVERLAP = 0.3  # share of an image that must be seen in the other

Matrix = np.ndarray  # (2, 3) float32: coordinates in the first image -> coordinates in the second
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels of the tiny picture


class Candidate(NamedTuple):
    """Two images that may be the same: the first, mirrored or not, resembles a window of the second."""

    first: int
    second: int
    mirrored: bool
    window: Box


def _spans() -> list[tuple[int, int]]:
    """Parts of a side: all of it, and 90 % and 80 % of it at its start, middle and end."""
    parts = [(0, THUMB)]
    for share in (0.9, 0.8):
        length = round(share * THUMB)
        parts += [(start, start + length) for start in (0, (THUMB - length) // 2, THUMB - length)]
    return parts


# What is left of an image that was cropped by 10 % or 20 %, or by 10 % on each side; the first is the whole image.
WINDOWS: list[Box] = [(left, top, right, bottom) for left, right in _spans() for top, bottom in _spans()]


def hashes(thumbs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hashes tiny pictures, uint8 (N, THUMB, THUMB).

    Returns:
        uint64 (N, 2): of the picture and of its mirror image; and uint64 (N, windows): of the WINDOWS.
    """
    whole = np.array([[_hash(thumb), _hash(thumb[:, ::-1])] for thumb in thumbs], np.uint64).reshape(-1, 2)
    windows = [[_hash(_cut(thumb, box)) for box in WINDOWS] for thumb in thumbs]
    return whole, np.array(windows, np.uint64).reshape(-1, len(WINDOWS))


def _hash(picture: np.ndarray) -> np.uint64:
    cells = cv2.resize(np.ascontiguousarray(picture), (HASH + 1, HASH), interpolation=cv2.INTER_AREA)
    return np.packbits(cells[:, 1:] > cells[:, :-1]).view(np.uint64)[0]


def _cut(picture: np.ndarray, box: Box) -> np.ndarray:
    left, top, right, bottom = box
    return picture[top:bottom, left:right]


def nearest(queries: tuple[int, np.ndarray], windows: np.ndarray) -> list[Candidate]:
    """Returns pairs of images in which the hash of one is close to the hash of a window of the other.

    Args:
        queries: index of the first of n consecutive images, and their hashes, uint64 (n, 2).
        windows: uint64 (N, windows), of all images.
    """
    start, whole = queries
    found = []
    for first, pair in enumerate(whole, start):
        for mirrored, code in enumerate(pair):
            distances = np.bitwise_count(windows ^ code)
            best = distances.argmin(axis=1)
            distance = distances[np.arange(len(windows)), best]
            distance[first] = HASH * HASH  # itself
            near = np.flatnonzero(distance <= BITS)
            near = near[np.argsort(distance[near], kind="stable")][:PER_IMAGE]
            found += [Candidate(first, int(i), bool(mirrored), WINDOWS[best[i]]) for i in near]
    return found


def resemble(candidate: Candidate, thumbs: np.ndarray) -> bool:
    """Whether the sketches of two candidates agree, before any alignment."""
    first = _turn(thumbs[candidate.first], candidate.mirrored)
    sketches = [
        cv2.resize(picture, (SKETCH, SKETCH), interpolation=cv2.INTER_AREA)
        for picture in (first, _cut(thumbs[candidate.second], candidate.window))
    ]
    return _correlation(*(_details(sketch, SKETCH / 8) for sketch in sketches)) > SKETCHES_AGREE


def align_thumbs(task: tuple[np.ndarray, np.ndarray, Candidate]) -> float:
    """The correlation of the aligned tiny pictures of a candidate's two images."""
    first, second, candidate = task
    match = align(_turn(first, candidate.mirrored), second, start_matrix(candidate, first.shape, second.shape), 30)
    return match.correlation


class Match(NamedTuple):
    """How two images agree after alignment.

    Attributes:
        correlation: of their details, -1 to 1.
        overlap: share of the first image that lies within the second.
        matrix: coordinates in the first -> coordinates in the second.
    """

    correlation: float
    overlap: float
    matrix: Matrix

    @property
    def same(self) -> bool:
        return self.correlation >= SAME and self.overlap >= OVERLAP


def start_matrix(candidate: Candidate, first: Sequence[int], second: Sequence[int]) -> Matrix:
    """Where the first image, of shape (H, W), lies in the second according to the candidate's window."""
    left, top, right, bottom = (edge / THUMB for edge in candidate.window)
    across, down = (right - left) * second[1] / first[1], (bottom - top) * second[0] / first[0]
    return np.array([[across, 0, left * second[1]], [0, down, top * second[0]]], np.float32)


def align(first: np.ndarray, second: np.ndarray, start: Matrix, steps: int) -> Match:
    """Aligns two gray images, uint8 (H, W), by an affine map, and compares them.

    The alignment is ECC (Evangelidis and Psarakis 2008). It may drift away from a start that was exact, so the better
    one of both is returned.
    """
    blurred = [cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0) for image in (first, second)]
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, steps, 1e-4)
    matches = [_compare(blurred[0], blurred[1], start)]
    try:
        found = cv2.findTransformECC(blurred[0], blurred[1], start.copy(), cv2.MOTION_AFFINE, criteria)
        matches.append(_compare(blurred[0], blurred[1], np.asarray(found[1], np.float32)))
    except cv2.error:  # no convergence: the images have little in common
        pass
    return max(matches, key=lambda match: match.correlation)


def _compare(first: np.ndarray, second: np.ndarray, matrix: Matrix) -> Match:
    """Compares two images, float32 (H, W), under a map from the first to the second.

    Details are compared, not brightness: what remains after subtracting a blurred copy. The correlation is the lower
    one of the whole and of the middle of the image, because two strangers in equal frames agree in the frame.
    """
    height, width = first.shape
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(second, matrix, (width, height), flags=flags, borderValue=-1e4)
    seen = moved >= 0
    overlap = float(seen.mean())
    if overlap < OVERLAP:
        return Match(-1.0, overlap, matrix)
    radius = max(first.shape) / 32
    details = [_details(image, radius) for image in (first, np.where(seen, moved, first))]
    middle = np.zeros_like(seen)
    middle[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    whole = _correlation(*(each[seen] for each in details))
    inner = seen & middle
    inside = _correlation(*(each[inner] for each in details)) if inner.any() else whole
    return Match(min(whole, inside), overlap, matrix)


def _turn(picture: np.ndarray, mirrored: bool) -> np.ndarray:
    return np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture


def _details(image: np.ndarray, radius: float) -> np.ndarray:
    values = image.astype(np.float32)
    return values - cv2.GaussianBlur(values, (0, 0), radius)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation of two arrays; 0 if one is constant."""
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first * first).sum() * (second * second).sum()))
    return float((first * second).sum()) / scale if scale > 1e-3 else 0.0


def blocks(whole: np.ndarray, size: int) -> Iterator[tuple[int, np.ndarray]]:
    """The queries of `nearest`, `size` images each."""
    for start in range(0, len(whole), size):
        yield start, whole[start : start + size]
