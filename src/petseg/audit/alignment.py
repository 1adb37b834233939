"""How well the edges of a mask agree with the edges of its image, also if the mask is shifted or mirrored.

The agreement at a shift is the mean, along the outline of the mask, of how strong the image's edge there is and how
well its direction matches the outline. It is computed for all shifts up to REACH at once, as cross-correlations by
FFT.
"""

import cv2
import numpy as np

SIDE = 128  # pixels of the longer side: fine enough for shifts of 3 %, and three milliseconds per image
REACH = 0.25  # of width and height: how far shifts are searched
SOFT = np.array([0, 255, 0, 128], np.uint8)  # of a trimap's value; the outline runs in the middle of the border
NEAR = 2  # pixels: masks are drawn, and differ from edges by one or two pixels at this size


def fit(gray: np.ndarray, trimap: np.ndarray) -> dict[str, float] | None:
    """Compares the edges of an image with the outline of its mask.

    Args:
        gray: uint8 (H, W), the luminance.
        trimap: uint8 (H, W).

    Returns:
        here: the agreement without a shift. best: the best agreement of all shifts. right, down: that shift, as shares
        of width and height. mirrored: the agreement of the mirrored mask. Agreements are in standard deviations above
        the median of all shifts. None if the mask has no outline.
    """
    scale = SIDE / max(gray.shape)
    size = (max(16, round(gray.shape[1] * scale)), max(16, round(gray.shape[0] * scale)))
    mask = cv2.resize(SOFT[trimap], size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    image = cv2.resize(gray, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    agreement = _Agreement(image)
    stored, mirrored = agreement.map(mask), agreement.map(np.ascontiguousarray(mask[:, ::-1]))
    if stored is None or mirrored is None:
        return None
    rows, columns = stored.shape
    row, column = np.unravel_index(stored.argmax(), stored.shape)
    return {
        "here": round(_near_center(stored), 2),
        "best": round(float(stored.max()), 2),
        "right": round((int(column) - columns // 2) / size[0], 3),
        "down": round((int(row) - rows // 2) / size[1], 3),
        "mirrored": round(_near_center(mirrored), 2),
    }


def _near_center(scores: np.ndarray) -> float:
    row, column = scores.shape[0] // 2, scores.shape[1] // 2
    return float(scores[row - NEAR : row + NEAR + 1, column - NEAR : column + NEAR + 1].max())


class _Agreement:
    """The edges of an image, float32 (H, W), with which masks are compared."""

    def __init__(self, image: np.ndarray) -> None:
        height, width = image.shape
        self._reach = (int(REACH * height), int(REACH * width))
        # Room for the shifts: without it, the far side of the image would come in.
        padded = (height + self._reach[0], width + self._reach[1])
        self._shape = (cv2.getOptimalDFTSize(padded[0]), cv2.getOptimalDFTSize(padded[1]))
        right, down = _gradient(image, 1.2)
        strength = np.hypot(right, down)
        strength += strength.mean() + 1e-3  # strong edges count alike, weak ones less
        right, down = right / strength, down / strength
        products = (right * right, 2 * right * down, down * down)
        self._edges = [self._transform(product) for product in products]
        self._inside = self._transform(np.ones_like(image))

    def map(self, mask: np.ndarray) -> np.ndarray | None:
        """The agreement at each shift, centered, in standard deviations above the median; None without an outline."""
        right, down = _gradient(mask, 1.5)
        outline = np.hypot(right, down)
        total = float(outline.sum())
        if total < 1:
            return None
        root = np.sqrt(outline + 1e-6)
        right, down = right / root, down / root
        products = (right * right, right * down, down * down)
        pairs = zip(self._edges, products, strict=True)
        matches = np.sum([edge * np.conj(self._transform(each)) for edge, each in pairs], axis=0)
        seen = np.fft.irfft2(self._inside * np.conj(self._transform(outline)), self._shape)
        # Shifts that move most of the outline out of the image have little to say.
        scores = np.fft.irfft2(matches, self._shape) / np.maximum(seen, total / 2)
        rows, columns = self._reach
        scores = np.roll(scores, self._reach, (0, 1))[: 2 * rows + 1, : 2 * columns + 1]
        return (scores - np.median(scores)) / (scores.std() + 1e-6)

    def _transform(self, values: np.ndarray) -> np.ndarray:
        return np.fft.rfft2(values.astype(np.float32), self._shape)


def _gradient(values: np.ndarray, blur: float) -> tuple[np.ndarray, np.ndarray]:
    """Horizontal and vertical derivatives of a blurred map."""
    soft = cv2.GaussianBlur(values, (0, 0), blur)
    return cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
