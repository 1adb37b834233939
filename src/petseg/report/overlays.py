"""Transparent layers over a photograph on the page: the outline of a mask, its cut-out, and its errors.

Each is a PNG with a palette, a few kilobytes even for a large photograph, and exact to the pixel.
"""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageColor
from scipy import ndimage

from petseg.report import tiles

CHECKER = 8  # pixels per side of a square
CLEAR = ("#000000", 0.0)


def outline(mask: np.ndarray) -> str:
    """Returns a white line of 1 pixel along the inside of a mask, (H, W) bool, with a thin shadow outside."""
    eroded, dilated = ndimage.binary_erosion(mask, border_value=1), ndimage.binary_dilation(mask)
    inside, outside = np.greater(mask, eroded), np.greater(dilated, mask)
    return png_uri(np.select([inside, outside], [1, 2]), [CLEAR, ("#ffffff", 1.0), ("#000000", 0.45)])


def cutout(mask: np.ndarray) -> str:
    """Returns a checkerboard where a mask, (H, W) bool, is background, so that the photograph shows its foreground."""
    rows, columns = (np.arange(length) // CHECKER for length in mask.shape)
    squares = np.add.outer(rows, columns) % 2
    return png_uri(np.where(mask, 0, 1 + squares), [CLEAR, ("#ffffff", 1.0), ("#cfd4d9", 1.0)])


def errors(mask: np.ndarray, truth: np.ndarray) -> str:
    """Returns where a mask, (H, W) bool, is wrong, in the colors of `tiles.mark`; true negatives are faded."""
    background = ~mask & ~truth
    layers = tiles.error_layers(mask, truth)
    gray = f"#{tiles.GRAY:02x}{tiles.GRAY:02x}{tiles.GRAY:02x}"
    palette = [CLEAR, (gray, 0.8), *((color, opacity) for _, color, opacity in layers)]
    return png_uri(np.select([background, *(where for where, _, _ in layers)], range(1, len(palette))), palette)


def png_uri(indices: np.ndarray, palette: Sequence[tuple[str, float]]) -> str:
    """Encodes pixels as a PNG data URI.

    Args:
        indices: (H, W), of the palette.
        palette: color as #rrggbb and opacity, 0 to 1.
    """
    image = Image.fromarray(indices.astype(np.uint8), "P")
    image.putpalette([value for color, _ in palette for value in ImageColor.getrgb(color)])
    buffer = io.BytesIO()
    opacities = bytes(round(255 * opacity) for _, opacity in palette)
    image.save(buffer, "PNG", transparency=opacities, optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
