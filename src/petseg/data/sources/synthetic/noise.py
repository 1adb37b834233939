"""Smooth random fields, for fur, grass, cloth and walls."""

import numpy as np
from PIL import Image

Field = np.ndarray  # float32 (H, W)


def smooth(rng: np.random.Generator, shape: tuple[int, int], cell: float | tuple[float, float]) -> Field:
    """Random values on a grid with bicubic interpolation: float32 (H, W), about -1 to 1.

    `cell` is the distance of two grid points in pixels, or that in y and in x; unequal ones give streaks.
    """
    height, width = shape
    cell_y, cell_x = cell if isinstance(cell, tuple) else (cell, cell)
    grid = rng.random((int(height / cell_y) + 4, int(width / cell_x) + 4), dtype=np.float32) * 2 - 1
    offset_y, offset_x = rng.random(2)
    box = (offset_x, offset_y, offset_x + width / cell_x, offset_y + height / cell_y)
    return np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC, box=box))


def fractal(rng: np.random.Generator, shape: tuple[int, int], cell: float, octaves: int = 3) -> Field:
    """A sum of `smooth` fields, each with half the cell and amplitude of the one before: float32, about -1 to 1."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        total += smooth(rng, shape, max(cell / 2**octave, 1.0)) / 2**octave
    return total / 1.6


def streaks(hair: Field, flow_x: Field, flow_y: Field, length: float) -> Field:
    """Smears noise along a flow, like hair on a coat: float32 (H, W).

    Line integral convolution (Cabral and Leedom, SIGGRAPH 1993), by doubling: each pass averages every pixel
    with the one a step further, and the next step is twice as long.

    Args:
        hair: noise, independent between pixels; its standard deviation is kept.
        flow_x: x of the flow at each pixel, float32 (H, W); unit vectors with `flow_y`.
        flow_y: y of the flow.
        length: of a hair, in pixels.
    """
    height, width = flow_x.shape
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)
    passes = 3
    for step in range(passes):
        reach = length / 2 ** (passes - step)
        y = np.clip(rows + flow_y * reach + 0.5, 0, height - 1).astype(np.intp)
        x = np.clip(columns + flow_x * reach + 0.5, 0, width - 1).astype(np.intp)
        hair = (hair + hair.ravel()[y * width + x]) * np.float32(0.7071)
    return hair


def blur(field: Field, radius: int) -> Field:
    """Box blur by cumulative sums, twice, which is close to a Gaussian: float32 (H, W); edges are repeated."""
    for _ in range(2):
        for axis in (0, 1):
            pad = [(0, 0), (0, 0)]
            pad[axis] = (radius + 1, radius)
            sums = np.cumsum(np.pad(field, pad, mode="edge"), axis=axis, dtype=np.float64)
            size = 2 * radius + 1
            high, low = (sums[size:], sums[:-size]) if axis == 0 else (sums[:, size:], sums[:, :-size])
            field = ((high - low) / size).astype(np.float32)
    return field


def step(field: Field, edge: float, softness: float) -> Field:
    """0 below `edge`, 1 above, with a smooth ramp of width `softness` between: float32 like `field`."""
    ramp = np.clip((field - edge) / softness + 0.5, 0, 1)
    return ramp * ramp * (3 - 2 * ramp)
