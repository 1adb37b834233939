"""Renders chains of balls as a camera sees them: outline, depth, and the coat at each pixel.

Every pixel blends all parts near it, weighted by nearness to the camera, so that limbs grow out of the body. Depth and
outline are the smooth maximum and minimum (log-sum-exp) over the parts.
"""

from dataclasses import dataclass

import numpy as np

from petseg.data.sources.synthetic.anatomy import Part
from petseg.data.sources.synthetic.breeds import Color

_NEARNESS = 28.0  # how strongly nearer parts dominate, per unit of length
_SHARPNESS = 170.0  # how fast a part fades outside its outline, per unit of length
_ROUNDNESS = 45.0  # how sharply outlines meet, per unit of length; smaller values give rounder corners


@dataclass(frozen=True)
class Relief:
    """A body on a grid of pixels. Lengths in body units; all float32.

    Attributes:
        outside: distance to the outline, negative inside, (H, W).
        depth: nearness to the camera, (H, W); only valid inside.
        color: of the coat, (H, W, 3).
        flow: direction of the hair in the picture, unit vectors, (2, H, W): x, then y (down).
        along: position along the part, from its first ball, for stripes, (H, W).
    """

    outside: np.ndarray
    depth: np.ndarray
    color: np.ndarray
    flow: np.ndarray
    along: np.ndarray


def relief(
    parts: list[Part],
    colors: dict[str, Color],
    scale: float,
    corner: tuple[float, float],
    jitter: np.ndarray,
) -> Relief:
    """Renders parts in camera coordinates: x right, y up, z towards the camera.

    Args:
        parts: what to render.
        colors: of each region.
        scale: pixels per unit.
        corner: x and y, in units, of the upper left pixel.
        jitter: noise that is added to depths, so that colors meet raggedly, in units, float32 (H, W).
    """
    height, width = jitter.shape
    x = (corner[0] + np.arange(width, dtype=np.float32) / scale).astype(np.float32)
    y = (corner[1] - np.arange(height, dtype=np.float32) / scale).astype(np.float32)
    middle = float(np.mean([part.points[:, 2].mean() for part in parts]))
    sums = np.zeros((7, height, width), np.float32)  # weight, red, green, blue, flow x, flow y, along
    edges = np.zeros((height, width), np.float32)
    for part in parts:
        travelled = 0.0
        for first in range(max(len(part.radii) - 1, 1)):
            last = min(first + 1, len(part.radii) - 1)
            rows, columns = _window(part, first, last, x, y)
            if rows.start >= rows.stop or columns.start >= columns.stop:
                continue
            ends = part.points[[first, last]] - (0, 0, middle)
            outside, depth, share, flow = _piece(ends, part.radii[[first, last]], x[columns], y[rows, None])
            weight = np.exp(
                np.clip(_NEARNESS * (depth + jitter[rows, columns]), -40, 40) - _SHARPNESS * np.maximum(outside, 0)
            )
            start, end = (np.array(colors[part.regions[each]], np.float32) for each in (first, last))
            where = (slice(None), rows, columns)
            target = sums[where]
            target[0] += weight
            for channel in range(3):
                target[1 + channel] += weight * (start[channel] + share * (end[channel] - start[channel]))
            target[4] += weight * flow[0]
            target[5] += weight * flow[1]
            length = float(np.linalg.norm(ends[1] - ends[0]))
            target[6] += weight * (travelled + share * length)
            travelled += length
            edges[rows, columns] += np.exp(np.clip(-_ROUNDNESS * outside, -40, 40))
    total = np.maximum(sums[0], 1e-30)
    flow = sums[4:6] / (np.hypot(sums[4], sums[5]) + 1e-12)
    return Relief(
        outside=-np.log(np.maximum(edges, 1e-12)) / _ROUNDNESS,
        depth=np.log(total) / _NEARNESS,
        color=np.moveaxis(sums[1:4] / total, 0, 2),
        flow=flow,
        along=sums[6] / total,
    )


def _window(part: Part, first: int, last: int, x: np.ndarray, y: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns that a piece can affect: its bounding box and a margin in which outlines still meet."""
    pair = [first, last]
    reach = part.radii[pair] + 0.15
    left, right = (part.points[pair, 0] - reach).min(), (part.points[pair, 0] + reach).max()
    low, high = (part.points[pair, 1] - reach).min(), (part.points[pair, 1] + reach).max()
    columns = slice(int(np.searchsorted(x, left)), int(np.searchsorted(x, right)))
    rows = slice(int(np.searchsorted(-y, -high)), int(np.searchsorted(-y, -low)))
    return rows, columns


def _piece(ends: np.ndarray, radii: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple:
    """Renders a cone with round ends: outside, depth, position from first (0) to second ball (1), and flow."""
    dx, dy, dz = (ends[1] - ends[0]).tolist()
    r0, r1 = radii.tolist()
    px, py = x - np.float32(ends[0, 0]), y - np.float32(ends[0, 1])
    flat = float(np.hypot(dx, dy))
    if flat < 1e-3:
        distance = np.sqrt(px * px + py * py)
        depth = np.float32(ends[0, 2]) + np.sqrt(np.maximum(r0 * r0 - distance * distance, 0))
        inverse = 1 / (distance + 1e-3)
        return distance - np.float32(r0), depth, np.float32(0), (px * inverse, -py * inverse)
    ux, uy = dx / flat, dy / flat
    axial = px * np.float32(ux) + py * np.float32(uy)
    across = np.abs(py * np.float32(ux) - px * np.float32(uy))
    slope = np.clip((r1 - r0) / flat, -0.95, 0.95)
    share = np.clip((axial + across * np.float32(slope / np.sqrt(1 - slope * slope))) / np.float32(flat), 0, 1)
    off = axial - share * np.float32(flat)
    outside = np.sqrt(off * off + across * across) - (np.float32(r0) + share * np.float32(r1 - r0))
    # The visible surface belongs to a cross-section that is tilted with the axis: shift the position accordingly.
    radius = np.float32(r0) + share * np.float32(r1 - r0)
    bulge = np.sqrt(np.maximum(radius * radius - across * across, 0))
    shift = np.float32(dz / np.sqrt(flat * flat + dz * dz))
    seen = np.clip((axial + bulge * shift) / np.float32(flat), 0, 1)
    off = axial - seen * np.float32(flat)
    radius = np.float32(r0) + seen * np.float32(r1 - r0)
    square = radius * radius - off * off - across * across
    depth = np.float32(ends[0, 2]) + seen * np.float32(dz) + np.sqrt(np.maximum(square, 0))
    return outside, depth, seen, (np.float32(ux), np.float32(-uy))
