"""From a probability map to pictures: a cut-out with a soft edge, the cut-out on a background, the mask to look at.

The colors at the edge are estimated by a few box blurs. benchmarks/cutout.md compares this with PyMatting's
`estimate_foreground_ml` and with "blur fusion" (M. Forte, Approximate Fast Foreground Colour Estimation, ICIP 2021).
Both trust the alpha and explain each pixel as a mix of foreground and background. An alpha from a network of 64 to 256
pixels is wrong by many pixels of a photograph, so both keep more of the old background. Hence PyMatting, which needs
numba, is no dependency.
"""

import cv2
import numpy as np
from PIL import Image, ImageColor, ImageFilter, ImageOps

from petseg.runtime.errors import DataError

BAND = 0.2  # alpha rises from 0 to 1 between threshold - BAND and threshold + BAND; chosen in benchmarks/cutout.md
OUTLINE = "#ff2fd0"  # no fur has this color

_REACH = 0.03  # of the longer side; farther from the edge of the mask, no pixel is partly transparent
_SIDE = 512  # pixels of the longer side at which colors are estimated
_RADII = (2, 8, 32, 128)  # of the box blurs, at this size
_MARGIN = 4  # pixels at this size beyond the edge that keep a color
_STRIP = 256  # rows that are blended at once


def alpha(probability: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Converts probabilities to the opacity of a cut-out.

    It rises linearly where the probability is within BAND of the threshold (less near 0 and 1), and is 0 and 255
    outside. Because a map is enlarged from the network's size, this band is wider in a larger photograph.

    Args:
        probability: (H, W), from 0 to 1.
        threshold: of the mask, from 0 to 1; opacity is at least 128 exactly in the mask.

    Returns:
        uint8 (H, W).
    """
    half = min(BAND, threshold, 1 - threshold)
    if half <= 0:
        return np.where(probability >= threshold, np.uint8(255), np.uint8(0))
    opacity = np.subtract(probability, np.float32(threshold), dtype=np.float32)
    opacity *= 255 / (2 * half)
    opacity += 128  # 127.5, and 0.5 to round
    return np.clip(opacity, 0, 255, out=opacity).astype(np.uint8)


def cutout(photo: Image.Image, probability: np.ndarray, threshold: float = 0.5) -> Image.Image:
    """Cuts out the foreground, without a halo of the old background.

    Only pixels near the edge of the mask are partly transparent, so an uncertain network gives no clouds in the
    background and no holes in the pet. Opaque pixels are unchanged. Pixels of the soft edge take their colors from
    pixels further inside, and so do transparent pixels near the edge, so that no dark or old color appears when a
    viewer scales the picture. All other transparent pixels are 0, which keeps files small. A mask that is too wide
    shows the background inside it.

    Args:
        photo: of mode RGB.
        probability: (H, W), from 0 to 1, of the size of `photo`.
        threshold: of the mask.

    Returns:
        An image of mode RGBA.
    """
    _check(photo, probability)
    opacity = _decide_far_from_edge(alpha(probability, threshold))
    pixels = cv2.resize(_foreground(photo, probability, threshold), photo.size, interpolation=cv2.INTER_LINEAR)
    own = (np.arange(256, dtype=np.float32) / 255) ** 12  # share of a pixel's own color: 1 where it is opaque
    for top in range(0, photo.height, _STRIP):
        strip, opaque = pixels[top : top + _STRIP], opacity[top : top + _STRIP]
        original = np.asarray(photo.crop((0, top, photo.width, top + len(strip))))
        strip[(opaque == 0) & (strip[..., 3] == 0)] = 0
        np.copyto(strip[..., :3], original, where=(opaque == 255)[..., None])
        soft = (opaque > 0) & (opaque < 255)
        estimated = strip[soft][:, :3].astype(np.float32)
        strip[soft, :3] = (estimated + (original[soft] - estimated) * own[opaque[soft]][:, None]).round()
        strip[..., 3] = opaque
    return Image.fromarray(pixels)


def on_background(cutout: Image.Image, background: str | Image.Image) -> Image.Image:
    """Puts a cut-out on a color, or on an image that is scaled to cover it and cropped around its center.

    Args:
        cutout: of mode RGBA.
        background: a color such as white, #1e90ff or hsl(120, 50%, 50%), or an image.

    Returns:
        An image of mode RGB.

    Raises:
        DataError: the color is unknown.
    """
    if isinstance(background, str):
        try:
            color = ImageColor.getrgb(background)[:3]
        except ValueError:
            raise DataError(f"{background} is not a color; use a name such as white, or #rrggbb.") from None
        below = Image.new("RGB", cutout.size, color)
    else:
        below = ImageOps.fit(background.convert("RGB"), cutout.size, Image.Resampling.BICUBIC)
    below.paste(cutout, mask=cutout.getchannel("A"))
    return below


def overlay(photo: Image.Image, mask: np.ndarray) -> Image.Image:
    """Shows a mask on its photograph: the background fades to gray, and the mask has an outline.

    Args:
        photo: of mode RGB.
        mask: (H, W), bool or 0 for the background, of the size of `photo`.

    Returns:
        An image of mode RGB.
    """
    _check(photo, mask)
    inside = Image.fromarray((np.asarray(mask) > 0).astype(np.uint8) * 255)
    faded = photo.convert("L").point([round(0.35 * value + 0.65 * 140) for value in range(256)])
    shown = Image.composite(photo, Image.merge("RGB", [faded] * 3), inside)
    # A blurred straight edge is at most 17 of 255 beyond 1.5 standard deviations: an outline of this width.
    width = max(1.5, max(photo.size) / 300)
    blurred = inside.filter(ImageFilter.GaussianBlur(width / 1.5))
    line = blurred.point([min(255, max(0, 32 * (value - 13))) for value in range(256)])
    line.paste(0, mask=inside)
    shown.paste(ImageColor.getrgb(OUTLINE), mask=line)
    return shown


def _decide_far_from_edge(opacity: np.ndarray) -> np.ndarray:
    """Rounds the opacity, uint8 (H, W), to 0 or 255 farther than `_REACH` from the edge of the mask; in place."""
    height, width = opacity.shape
    scale = min(1, _SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    reach = max(1, round(_REACH * max(size)))
    box = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    share = cv2.resize((opacity >= 128).astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA)
    outside, inside = cv2.dilate(share, box) == 0, cv2.erode(share, box) == 255
    for value, region in ((0, outside), (255, inside)):
        far = cv2.resize(region.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        opacity[far > 0] = value
    return opacity


def _check(photo: Image.Image, values: np.ndarray) -> None:
    if photo.mode != "RGB" or values.shape != (photo.height, photo.width):
        raise ValueError(f"a photo of mode {photo.mode} and size {photo.size} does not fit an array of {values.shape}")


def _foreground(photo: Image.Image, probability: np.ndarray, threshold: float) -> np.ndarray:
    """Estimates the colors of the foreground and continues them beyond its edge, at reduced size.

    The color of a pixel is the mean of those around it, weighted by how certainly they are foreground. The mean is over
    the smallest neighborhood with enough certain pixels.

    Returns:
        uint8 (h, w, 4): RGB, and 255 where a color may be needed, else 0.
    """
    scale = min(1, _SIDE / max(photo.size))
    size = max(1, round(photo.width * scale)), max(1, round(photo.height * scale))
    colors = np.asarray(photo.resize(size, Image.Resampling.BOX), np.float32)
    likely = cv2.resize(np.asarray(probability, np.float32), size, interpolation=cv2.INTER_AREA)
    certainty = np.clip((likely - threshold) / max(1 - threshold, 1e-3), 0, 1) ** 4
    found, missing = np.zeros_like(colors), np.ones_like(certainty)
    for radius in _RADII:
        box = (2 * radius + 1, 2 * radius + 1)
        weight = cv2.blur(certainty, box, borderType=cv2.BORDER_REFLECT)
        mean = cv2.blur(colors * certainty[..., None], box, borderType=cv2.BORDER_REFLECT) / (weight + 1e-6)[..., None]
        share = missing if radius == _RADII[-1] else missing * np.clip(4 * weight, 0, 1)
        found += share[..., None] * mean
        missing = missing - share
    reach = np.ones((2 * _MARGIN + 1, 2 * _MARGIN + 1), np.uint8)
    needed = cv2.dilate((alpha(likely, threshold) > 0).astype(np.uint8) * 255, reach)
    return np.dstack([found.round().clip(0, 255).astype(np.uint8), needed])
