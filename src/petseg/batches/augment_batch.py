"""Augmentation of a whole batch at once, on any device: what `Augment.draw` wrote down, done with torch.

    steps = collate([augment.draw(rng) for rng in ...])         # in a worker
    images, masks = apply(images, masks, steps)                 # where they then are

The samples are those of `Augment.__call__`: flips, tables, contrast and noise to the bit, the others within rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from petseg.batches.recording import Record


@dataclass(frozen=True)
class Step:
    """One kind of operation, for those samples of a batch that it happens to.

    Attributes:
        kind: a key of `OPERATIONS`.
        rows: int64 (K,), the samples' places in the batch, each at most once.
        values: (K, ...), their operations' values, see `OPERATIONS`.
    """

    kind: str
    rows: Tensor
    values: Tensor


def collate(records: Sequence[Record]) -> list[Step]:
    """All that happens to a batch whose sample i has `records[i]`, in order; samples left alone take no room."""
    members: dict[tuple[tuple[int, int], str], list[tuple[int, np.ndarray]]] = {}
    for row, record in enumerate(records):
        for stage, kind, value in record:
            members.setdefault((stage, kind), []).append((row, value))
    steps = []
    for stage, kind in sorted(members):
        rows, values = zip(*members[stage, kind], strict=True)
        values = _same_length(values) if kind == "blur" else values
        steps.append(Step(kind, torch.tensor(rows), torch.from_numpy(np.stack(values))))
    return steps


def _same_length(kernels: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Kernels of odd lengths, the shorter ones with zeros at both ends."""
    longest = max(map(len, kernels))
    return [np.pad(kernel, (longest - len(kernel)) // 2) for kernel in kernels]


@torch.no_grad()
def apply(images: Tensor, masks: Tensor, steps: Sequence[Step]) -> tuple[Tensor, Tensor]:
    """Does these steps; the host never waits for the device, and each sample's result is its own.

    Args:
        images: uint8 (B, 3, H, W).
        masks: uint8 (B, 1, H, W), 1 pet, 0 background.
        steps: on the same device; drawn by an `Augment` of this size.

    Returns:
        New images and masks of the same shapes and types.
    """
    images, masks = images.clone(), masks.clone()
    for step in steps:
        chosen = images.index_select(0, step.rows), masks.index_select(0, step.rows)
        image, mask = OPERATIONS[step.kind](*chosen, step.values)
        images.index_copy_(0, step.rows, image)
        masks.index_copy_(0, step.rows, mask)
    return images, masks


def _warp(images: Tensor, masks: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Sources that are affine in the place they go to.

    Args:
        values: float32 (K, 2, 8). For x, then for y: a, b, c of the image's source a x + b y + c, in pixels with whole
            numbers at pixel centres; a, b, c of the mask's; the least and the greatest source.
    """
    height, width = images.shape[2:]
    least, greatest = values[:, :, 6, None, None], values[:, :, 7, None, None]
    source = _affine(values[:, :, 0:3], height, width).clamp(least, greatest)
    nearest = (_affine(values[:, :, 3:6], height, width) + 0.5).floor().clamp(least, greatest)
    return _sample(images, masks, source, nearest)


def _field(images: Tensor, masks: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Each place's own source, float32 (K, 2, H, W): x, then y, in pixels with whole numbers at pixel centres."""
    return _sample(images, masks, values, values.round())


def _sample(images: Tensor, masks: Tensor, source: Tensor, nearest: Tensor) -> tuple[Tensor, Tensor]:
    """Images bilinear from `source`, masks from `nearest`; what lies outside the image is black and background.

    Args:
        source: (K, 2, H, W), x and y in pixels.
        nearest: the same in whole numbers.
    """
    height, width = images.shape[2:]
    x, y = source.unbind(1)  # each (K, H, W)
    grid = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], dim=3)
    sampled = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=True)

    x, y = nearest.long().unbind(1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    place = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
    picked = masks.flatten(1).gather(1, place.flatten(1)).view_as(masks) * inside[:, None]
    return sampled.round().to(torch.uint8), picked


def _affine(coefficients: Tensor, height: int, width: int) -> Tensor:
    """a x + b y + c at every pixel: (K, 2, 3) to (K, 2, H, W)."""
    x = torch.arange(width, dtype=torch.float32, device=coefficients.device)
    y = torch.arange(height, dtype=torch.float32, device=coefficients.device)[:, None]
    a, b, c = coefficients[..., None, None].unbind(2)
    return a * x + b * y + c


def _hflip(images: Tensor, masks: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Left becomes right; no values, (K, 0)."""
    return images.flip(3), masks.flip(3)


def _vflip(images: Tensor, masks: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Top becomes bottom; no values, (K, 0)."""
    return images.flip(2), masks.flip(2)


def _table(images: Tensor, masks: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Each grey level by a table, uint8 (K, 256)."""
    return values.gather(1, images.flatten(1).long()).view(images.shape), masks


def _contrast(images: Tensor, masks: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Away from the mean grey of the image by a factor, float64 (K,), so that the table is to the bit."""
    factor = values[:, None]
    mean = _grey(images).flatten(1).sum(1, keepdim=True).double() / images[0, 0].numel()
    levels = torch.arange(256, dtype=torch.float32, device=images.device)
    return _table(images, masks, (levels * factor.float() + mean * (1 - factor)).clamp(0, 255).to(torch.uint8))


def _saturation(images: Tensor, masks: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Away from the grey of the pixel by a factor, float32 (K,)."""
    factor = values[:, None, None, None]
    return (images * factor + _grey(images) * (1 - factor)).round().clamp(0, 255).to(torch.uint8), masks


def _grey(images: Tensor) -> Tensor:
    """Luma of ITU-R BT.601 as OpenCV rounds it: int32 (K, 1, H, W), 0 to 255."""
    red, green, blue = images.int().split(1, dim=1)
    return (9798 * red + 19235 * green + 3735 * blue + 2**14) >> 15


def _hue(images: Tensor, masks: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Hues turned by so many units of 2 degrees, float32 (K,), by way of OpenCV's HSV in bytes with its rounding."""
    hue, saturation, value = _to_hsv(images)
    hue = (hue + values[:, None, None, None]).remainder(180).floor()
    # At sixths of a turn a channel has fallen by 0, 1, 1, 1, 0, 0 of the saturation: red from 5 on, green 3, blue 1.
    place = (hue / 30 + torch.arange(5, 0, -2, device=images.device)[:, None, None]).remainder(6)
    fall = torch.minimum(place, 4 - place).clamp(0, 1)  # (K, 3, H, W)
    return (value * (1 - saturation / 255 * fall)).to(torch.uint8), masks  # OpenCV cuts the fraction off too


def _to_hsv(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue 0 to 179, saturation and value 0 to 255: whole numbers in float32 (K, 1, H, W).

    OpenCV multiplies by inverses in units of 1 / 4096; each product here is a whole number that float32 holds.
    """
    red, green, blue = images.float().split(1, dim=1)
    value, least = images.amax(1, keepdim=True).float(), images.amin(1, keepdim=True).float()
    spread = value - least
    saturation = (spread * (4096 * 255 / value.clamp(min=1)).round() / 4096 + 0.5).floor()
    from_green = torch.where(value == green, blue - red + 2 * spread, red - green + 4 * spread)
    sixths = torch.where(value == red, green - blue, from_green)
    hue = (sixths * (4096 * 30 / spread.clamp(min=1)).round() / 4096 + 0.5).floor()
    return torch.where(hue < 0, hue + 180, hue), saturation, value


def _noise(images: Tensor, masks: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """What is to be added, int16 (K, H, W, 3)."""
    return (images + values.permute(0, 3, 1, 2)).clamp(0, 255).to(torch.uint8), masks


def _blur(images: Tensor, masks: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """The same kernel along rows and columns, float32 (K, taps), taps odd; mirrored at the edge pixels' centres."""
    blurred = _blur_rows(_blur_rows(images.float(), values).mT, values).mT
    return blurred.round().clamp(0, 255).to(torch.uint8), masks


def _blur_rows(images: Tensor, kernels: Tensor) -> Tensor:
    """A sum of shifted images: unlike a convolution it is the same to the bit on any device, in any batch."""
    taps, width = kernels.shape[1], images.shape[3]
    padded = F.pad(images, (taps // 2, taps // 2, 0, 0), mode="reflect")
    total = torch.zeros_like(images)
    for tap in range(taps):
        total += kernels[:, tap, None, None, None] * padded[..., tap : tap + width]
    return total


OPERATIONS = {
    "warp": _warp,
    "field": _field,
    "hflip": _hflip,
    "vflip": _vflip,
    "table": _table,
    "contrast": _contrast,
    "saturation": _saturation,
    "hue": _hue,
    "noise": _noise,
    "blur": _blur,
}
