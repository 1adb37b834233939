"""How well the outline of a predicted mask follows that of the truth, in one image."""

import cv2
import numpy as np

SCORES = ("boundary_iou", "nsd", "hd95", "assd")
BAND = 0.02  # Boundary IoU: width of the band inside the outline, as a share of the image's diagonal
TOLERANCE = 0.01  # NSD: distance that counts as agreement, as a share of the image's diagonal

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def scores(predicted: np.ndarray, truth: np.ndarray) -> tuple[float, float, float, float]:
    """Returns the values of SCORES.

    - boundary_iou: Boundary IoU (Cheng et al., CVPR 2021): IoU of the parts of both masks that are at most BAND from
      the outline or the edge of the image.
    - nsd: normalized surface distance (Nikolov et al. 2018): share of both outlines that is at most TOLERANCE from the
      other one.
    - hd95: 95th percentile of the distances of one outline's pixels from the other outline, the larger of the two
      directions, in pixels (Hausdorff distance, Huttenlocher et al. 1993, with a percentile).
    - assd: average symmetric surface distance, the mean over the pixels of both outlines, in pixels.

    The outline of a mask is its pixels that have a neighbor outside it, to the left, right, above or below; so is the
    edge of the image. If both masks are empty, the result is (1, 1, 0, 0); if one is, (0, 0, d, d) with the diagonal
    d of the image.

    Args:
        predicted: (H, W) bool.
        truth: (H, W) bool.
    """
    diagonal = float(np.hypot(*truth.shape))
    if not (predicted.any() and truth.any()):
        return (0, 0, diagonal, diagonal) if predicted.any() or truth.any() else (1, 1, 0, 0)
    rows, columns = _crop(predicted | truth)
    masks = [np.pad(mask[rows, columns].view(np.uint8), 1) for mask in (predicted, truth)]  # zeros around both
    to_truth, to_prediction = _distances(*(mask - cv2.erode(mask, _CROSS) for mask in masks))
    both = np.concatenate([to_truth, to_prediction])
    return (
        _boundary_iou(*masks, width=max(1, round(BAND * diagonal))),
        float(np.mean(both <= TOLERANCE * diagonal)),
        float(max(np.percentile(to_truth, 95), np.percentile(to_prediction, 95))),
        float(both.mean()),
    )


def _crop(mask: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns that contain the mask."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _boundary_iou(predicted: np.ndarray, truth: np.ndarray, width: int) -> float:
    """Boundary IoU of masks with zeros around them; distances are counted with diagonal steps, as by its authors."""
    square = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    first, second = (
        mask > cv2.erode(mask, square, borderType=cv2.BORDER_CONSTANT, borderValue=0) for mask in (predicted, truth)
    )
    return np.count_nonzero(first & second) / np.count_nonzero(first | second)


def _distances(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The Euclidean distance of every pixel of the first outline from the second, and the reverse, in pixels.

    Squared distances are integers, so rounding them removes the error of the distance transform in float32.
    """

    def from_outline(outline: np.ndarray, other: np.ndarray) -> np.ndarray:
        distance = cv2.distanceTransform(1 - other, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return np.sqrt(np.rint(np.square(distance[outline > 0], dtype=np.float64)))

    return from_outline(first, second), from_outline(second, first)
