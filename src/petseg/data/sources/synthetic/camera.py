"""Places a body in front of the camera: its direction, its size, and its position in the picture."""

from dataclasses import dataclass

import numpy as np

from petseg.data.sources.synthetic.anatomy import Part, body
from petseg.data.sources.synthetic.breeds import Breed
from petseg.data.sources.synthetic.face import Placed
from petseg.data.sources.synthetic.head import head


@dataclass(frozen=True)
class Posed:
    """A pet in camera coordinates: x right, y up, z towards the camera, y = 0 is about the ground."""

    parts: list[Part]
    face: Placed
    pose: str


@dataclass(frozen=True)
class Frame:
    """Pixels per unit, and camera coordinates (x, y) of the upper left pixel."""

    scale: float
    corner: tuple[float, float]


def turn_y(angle: float) -> np.ndarray:
    """Rotation about the vertical axis by `angle` in radians, from forward (z) to the right (x)."""
    sine, cosine = np.sin(angle), np.cos(angle)
    return np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])


def turn_x(angle: float) -> np.ndarray:
    """Rotation about the horizontal axis by `angle` in radians; a positive angle tips forward (z) down."""
    sine, cosine = np.sin(angle), np.cos(angle)
    return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])


def turn_z(angle: float) -> np.ndarray:
    """Rotation in the picture plane by `angle` in radians, counter-clockwise."""
    sine, cosine = np.sin(angle), np.cos(angle)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])


_FACING = {"stand": (0.5, 1.6), "sit": (0.0, 1.2), "lie": (0.25, 1.45), "rest": (0.25, 1.4), "curl": (-0.6, 0.6)}


def pose(breed: Breed, name: str, close: bool, rng: np.random.Generator) -> Posed:
    """Builds a pet of `breed` in pose `name` in a random direction; with `close`, it faces the camera more."""
    low, high = (0.0, 0.7) if close else _FACING[name]
    yaw = rng.uniform(low, high) * rng.choice([-1, 1])
    tip = rng.uniform(0.35, 0.6) if name == "curl" else rng.uniform(0.0, 0.3)
    camera = turn_z(rng.normal(0, 0.05)) @ turn_x(tip)
    trunk = body(breed, name, rng)
    # Body coordinates are x forward, z left; `turn_y` wants x left, z forward.
    swap = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]])
    to_camera = camera @ turn_y(yaw) @ swap
    parts = [Part(part.points @ to_camera.T, part.radii, part.regions) for part in trunk.parts]
    look = np.clip(yaw * rng.uniform(0.0, 0.75) + rng.normal(0, 0.2), -1.15, 1.15)
    nod = rng.uniform(0.0, 0.3) if name in ("rest", "curl") else rng.uniform(-0.25, 0.2)
    axes = camera @ turn_y(look) @ turn_x(nod) @ turn_z(rng.normal(0, 0.13))
    center = to_camera @ trunk.neck_end + breed.head * (axes @ (0, 0.35, 0.3))
    placed = Placed(head(breed, rng), center, axes, breed.head)
    for part in placed.head.parts:
        points = center + breed.head * (part.points @ axes.T)
        parts.append(Part(points, breed.head * part.radii, part.regions))
    if rng.random() < 0.3 and name in ("stand", "sit", "lie"):
        parts.append(_collar(next(part for part in parts if part.regions[0] == "neck")))
    return Posed(parts, placed, name)


def _collar(neck: Part) -> Part:
    """A ball in the middle of the neck, a little thicker than it, so that a band of it is visible."""
    return Part(neck.points.mean(axis=0, keepdims=True), neck.radii.mean(keepdims=True) * 1.07, ("collar",))


def bounds(parts: list[Part]) -> tuple[float, float, float, float]:
    """The bounding box of all balls: left, right, low, high."""
    points = np.concatenate([part.points[:, :2] for part in parts])
    radii = np.concatenate([part.radii for part in parts])[:, None]
    low, high = (points - radii).min(axis=0), (points + radii).max(axis=0)
    return low[0], high[0], low[1], high[1]


def frame(posed: Posed, close: bool, shape: tuple[int, int], rng: np.random.Generator) -> Frame:
    """Samples size and position: the whole pet, sometimes cut by an edge, or with `close`, head and shoulders."""
    height, width = shape
    left, right, low, high = bounds(posed.parts)
    if close:
        reach = posed.face.radius * rng.uniform(4.2, 5.8)
        scale = min(height, 1.25 * width) / reach
        x, y = posed.face.center[:2] - (0, posed.face.radius * rng.uniform(0.3, 0.9))
        x += rng.normal(0, 0.06) * width / scale
    else:
        fill = rng.triangular(0.8, 0.9, 1.02)
        scale = fill * min(width / (right - left), height / (high - low))
        x, y = (left + right) / 2, (low + high) / 2
        x += rng.uniform(-0.4, 0.4) * max(width / scale - (right - left), 0.08)
        y += rng.uniform(-0.1, 0.5) * max(height / scale - (high - low), 0.04)
    return Frame(scale, (x - width / 2 / scale, y + height / 2 / scale))
