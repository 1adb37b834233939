"""Paints eyes, nose and mouth on a lit head where the camera sees them."""

from dataclasses import dataclass

import numpy as np

from petseg.data.sources.synthetic.breeds import Breed, Coat, Color
from petseg.data.sources.synthetic.head import Head

_DARK = (0.06, 0.045, 0.045)  # rims of the eyes, and lips


@dataclass(frozen=True)
class Placed:
    """A head in camera coordinates: `axes` has its left, up and forward vectors as columns, `radius` is its unit."""

    head: Head
    center: np.ndarray
    axes: np.ndarray
    radius: float

    def at(self, local: np.ndarray) -> np.ndarray:
        """Camera coordinates of a point in head coordinates."""
        return self.center + self.radius * (self.axes @ local)


@dataclass(frozen=True)
class Canvas:
    """The image `color` (H, W, 3) to paint on, in place, with depth, scale and corner as in `relief.relief`."""

    color: np.ndarray
    depth: np.ndarray
    scale: float
    corner: tuple[float, float]

    def pixel(self, point: np.ndarray) -> tuple[float, float]:
        """Column and row of a point in camera coordinates."""
        return (point[0] - self.corner[0]) * self.scale, (self.corner[1] - point[1]) * self.scale

    def in_sight(self, point: np.ndarray, slack: float) -> bool:
        """Whether nothing is more than `slack` in front of the point."""
        column, row = (round(float(each)) for each in self.pixel(point))
        height, width = self.depth.shape
        return 0 <= row < height and 0 <= column < width and self.depth[row, column] < point[2] + slack

    def ellipse(
        self, point: np.ndarray, along: np.ndarray, across: np.ndarray, color: Color, strength: float = 1.0
    ) -> None:
        """Paints an ellipse with soft edges; its half axes are the projections of `along` and `across`."""
        column, row = self.pixel(point)
        matrix = self.scale * np.array([[along[0], across[0]], [-along[1], -across[1]]])
        reach = np.abs(matrix).sum(axis=1) + 2
        height, width = self.depth.shape
        left, right = max(int(column - reach[0]), 0), min(int(column + reach[0]) + 2, width)
        top, bottom = max(int(row - reach[1]), 0), min(int(row + reach[1]) + 2, height)
        if left >= right or top >= bottom or abs(np.linalg.det(matrix)) < 0.3:
            return
        x, y = np.arange(left, right) - column, np.arange(top, bottom)[:, None] - row
        inverse = np.linalg.inv(matrix)
        distance = np.hypot(inverse[0, 0] * x + inverse[0, 1] * y, inverse[1, 0] * x + inverse[1, 1] * y)
        thickness = np.sqrt(abs(np.linalg.det(matrix)))
        cover = strength * np.clip((1 - distance) * thickness + 0.5, 0, 1)[..., None]
        area = self.color[top:bottom, left:right]
        area += cover.astype(np.float32) * (np.array(color, np.float32) - area)


def paint(
    canvas: Canvas, placed: Placed, breed: Breed, coat: Coat, asleep: bool, light: float, rng: np.random.Generator
) -> None:
    """Paints the face; `light` is the brightness of the light, about 1."""
    iris = np.array(breed.eyes[rng.integers(len(breed.eyes))]) * light
    pupil = rng.uniform(0.25, 0.8)
    for side in (-1, 1):
        _eye(canvas, placed, breed, side, asleep, iris, pupil)
    pink = breed.is_cat and max(coat.base) > 0.6
    _nose(canvas, placed, light * np.array((0.66, 0.38, 0.36) if pink else (0.10, 0.08, 0.08)))


def _eye(canvas: Canvas, placed: Placed, breed: Breed, side: int, asleep: bool, iris: np.ndarray, pupil: float) -> None:
    left, up, _ = placed.axes.T
    local = placed.head.eye * (side, 1, 1)
    normal = placed.axes @ (local / np.linalg.norm(local))
    point = placed.at(local * 1.06)
    if normal[2] < 0.2 or not canvas.in_sight(point, 0.1 * placed.radius):
        return
    size = placed.head.eye_radius * placed.radius
    outward = np.cross(up, normal)
    outward *= size / np.linalg.norm(outward)
    upward = np.cross(normal, outward)
    if asleep:
        canvas.ellipse(point, outward * 1.1, upward * 0.2, _DARK, 0.85)
        return
    slant = 0.18 * side if breed.is_cat else 0.0
    wide = outward + slant * upward
    tall = upward * (0.88 if breed.is_cat else 0.95)
    canvas.ellipse(point - 0.06 * upward, wide * 1.3, tall * 1.25, _DARK, 0.8)
    canvas.ellipse(point, wide * 0.98, tall * 0.98, tuple(0.6 * iris))
    canvas.ellipse(point, wide * 0.82, tall * 0.85, tuple(iris))
    narrow, high = (0.45 * pupil + 0.08, 0.85) if breed.is_cat else (0.6, 0.62)
    canvas.ellipse(point, wide * narrow, tall * high, (0.02, 0.02, 0.02))
    canvas.ellipse(point + 0.38 * upward - 0.3 * left * size, wide * 0.22, tall * 0.22, (0.98, 0.98, 0.98))


def _nose(canvas: Canvas, placed: Placed, color: np.ndarray) -> None:
    """Nose and mouth."""
    left, up, forward = placed.axes.T
    point = placed.at(placed.head.nose)
    if forward[2] < -0.15 or not canvas.in_sight(point, 0.12 * placed.radius):
        return
    size = placed.head.nose_radius * placed.radius
    across, tall = left * size, up * size
    if abs(left[0]) < 0.55:  # a nose is a ball rather than a disc: from the side it keeps most of its width
        across = np.array((0.55 * size, 0, 0))
    if forward[2] > 0.35:
        below = placed.at(placed.head.nose + np.array((0, -0.22, -0.04)))
        canvas.ellipse(below, across * 0.12, tall * 0.9, _DARK, 0.55)
        for side in (-1, 1):  # the lips, which curve up to the sides
            lip = below + 0.75 * side * across - 0.72 * tall
            canvas.ellipse(lip, 0.8 * across + 0.3 * side * tall, tall * 0.17, _DARK, 0.55)
    canvas.ellipse(point, across, tall * 0.78, tuple(color))
    canvas.ellipse(point + 0.3 * tall, across * 0.45, tall * 0.2, tuple(0.35 + 0.5 * color), 0.6)
