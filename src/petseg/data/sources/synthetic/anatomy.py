"""A pet's body in five poses, modeled as chains of balls.

Body coordinates: x forward, y up from the ground, z to the left; the unit is the trunk of a medium-sized dog. The
points of a part follow the direction of the hair: from head to tail, and down the legs.
"""

from dataclasses import dataclass

import numpy as np

from petseg.data.sources.synthetic.breeds import Breed

POSES = ("stand", "sit", "lie", "rest", "curl")


@dataclass(frozen=True)
class Part:
    """Balls of `radii` (n,) at `points` (n, 3), each joined to the next; `regions` names the coat region of each."""

    points: np.ndarray
    radii: np.ndarray
    regions: tuple[str, ...]


@dataclass(frozen=True)
class Body:
    """A body without its head, in body coordinates, and the end of its neck, a point (3,)."""

    parts: list[Part]
    neck_end: np.ndarray


def limb(regions: str, *balls: tuple[float, float, float, float]) -> Part:
    """A part from (x, y, z, radius) balls; `regions` has one word per ball, or one for all."""
    array = np.array(balls, np.float64)
    words = regions.split()
    return Part(array[:, :3], array[:, 3], tuple(words if len(words) == len(balls) else words * len(balls)))


def body(breed: Breed, pose: str, rng: np.random.Generator) -> Body:
    """Builds the body of `breed` in one of POSES."""
    return {"stand": _stand, "sit": _sit, "lie": _lie, "rest": _rest, "curl": _curl}[pose](breed, rng)


def _stand(breed: Breed, rng: np.random.Generator) -> Body:
    g, half, leg = breed.girth, 0.5 * breed.length, breed.legs
    y = leg + 0.45 * g
    parts = [limb("back", (half, y, 0, g), (0, y - 0.02, 0, 0.88 * g), (-half, y + 0.03, 0, 0.86 * g))]
    swing = rng.uniform(-0.16, 0.16, 4) * (0.5 + leg)
    for side, front, hind in ((1, swing[0], swing[1]), (-1, swing[2], swing[3])):
        z, paw = side * 0.48 * g, 0.13 + 0.22 * g
        x = half + 0.15 * g
        parts.append(limb("chest leg leg paw", (x, y - 0.1 * g, z, 0.5 * g), (x + 0.4 * front, 0.52 * leg, z, 0.3 * g),
                          (x + front, 0.08, z, 0.24 * g), (x + front + 0.3 * paw, 0.06, z, 0.25 * g)))  # fmt: skip
        x = -half
        parts.append(limb("thigh thigh leg leg paw", (x, y, z, 0.68 * g), (x + 0.1, 0.6 * leg, z, 0.42 * g),
                          (x - 0.1 + hind, 0.3 * leg, z, 0.22 * g), (x - 0.04 + hind, 0.07, z, 0.21 * g),
                          (x + hind + 0.25 * paw, 0.06, z, 0.24 * g)))  # fmt: skip
    parts.append(limb("chest", (half + 0.35 * g, y - 0.15 * g, 0, 0.72 * g)))
    lift = rng.uniform(0.1, 0.45)
    end = np.array([half + 0.3 + 0.2 * g, y + 0.65 * g + lift, 0.0])
    parts.append(_neck(breed, (half + 0.1, y + 0.35 * g, 0), end))
    parts.append(_tail(breed, (-half - 0.6 * g, y + 0.4 * g, 0), rng, on_ground=False))
    return Body(parts, end)


def _sit(breed: Breed, rng: np.random.Generator) -> Body:
    g, length, leg = breed.girth, breed.length, max(breed.legs, 0.3)
    back, front, top = -0.26 * length, 0.14 * length, leg + 0.18 * length
    parts = [limb("back", (front, top, 0, 0.86 * g), (0.4 * back, 0.6 * top, 0, 0.98 * g), (back, 0.95 * g, 0, g))]
    parts.append(limb("chest belly", (front + 0.12, top - 0.1, 0, 0.74 * g), (front - 0.02, 0.5 * top, 0, 0.7 * g)))
    for side in (1, -1):
        z = side * rng.uniform(0.42, 0.5) * g
        x = front + 0.16 + rng.uniform(-0.05, 0.05)
        parts.append(limb("chest leg leg paw", (front + 0.08, top - 0.08, 1.1 * z, 0.46 * g),
                          (x, 0.5 * leg, z, 0.29 * g), (x + 0.02, 0.08, z, 0.23 * g),
                          (x + 0.1, 0.07, z, 0.25 * g)))  # fmt: skip
        z = side * 0.75 * g
        parts.append(limb("thigh thigh leg", (back + 0.1, 0.95 * g, z, 0.66 * g),
                          (back + 0.36, 0.78 * g, 1.2 * z, 0.4 * g),
                          (back + 0.26, 0.1, 1.25 * z, 0.2 * g)))  # fmt: skip
        parts.append(limb("leg paw", (back + 0.2, 0.08, 1.25 * z, 0.22 * g), (back + 0.5, 0.07, 1.3 * z, 0.26 * g)))
    end = np.array([front + 0.12, top + 0.42 * g + rng.uniform(0.12, 0.22), 0.0])
    parts.append(_neck(breed, (front + 0.02, top + 0.1, 0), end))
    parts.append(_tail(breed, (back - 0.8 * g, 0.12, 0), rng, on_ground=True))
    return Body(parts, end)


def _lie(breed: Breed, rng: np.random.Generator) -> Body:
    g, half = breed.girth, 0.5 * breed.length
    lean = rng.uniform(-0.3, 0.3) * g
    parts = [limb("back", (half, 1.1 * g, 0, 0.95 * g), (0, 0.95 * g, lean, 0.93 * g), (-half, 0.9 * g, 0, 0.9 * g))]
    parts.append(limb("chest", (half + 0.35 * g, 0.95 * g, 0, 0.75 * g)))
    reach = rng.uniform(0.25, 0.5)
    for side in (1, -1):
        z = side * 0.62 * g
        far = half + reach + rng.uniform(-0.08, 0.08)
        parts.append(limb("chest leg leg paw", (half, 0.9 * g, z, 0.5 * g), (half - 0.02, 0.3 * g, 1.3 * z, 0.3 * g),
                          (far, 0.09, z, 0.22 * g), (far + 0.1, 0.08, z, 0.25 * g)))  # fmt: skip
        parts.append(limb("thigh thigh leg paw", (-half, 0.85 * g, z, 0.72 * g),
                          (-half + 0.3, 0.6 * g, 1.5 * z, 0.45 * g),
                          (-half + 0.16, 0.1, 1.7 * z, 0.2 * g), (-half + 0.48, 0.08, 1.75 * z, 0.24 * g)))  # fmt: skip
    parts.append(_tail(breed, (-half - 0.6 * g, 0.5 * g, 0), rng, on_ground=True))
    end = np.array([half + 0.28, 1.75 * g + rng.uniform(0.15, 0.35), 0.0])
    return Body([*parts, _neck(breed, (half + 0.08, 1.4 * g, 0), end)], end)


def _rest(breed: Breed, rng: np.random.Generator) -> Body:
    """Lying, the head on the ground between the paws."""
    lying = _lie(breed, rng)
    end = np.array([0.5 * breed.length + 0.28, 0.75 * breed.head, 0.0])
    neck = _neck(breed, (0.5 * breed.length, breed.girth, 0), end)
    return Body([*lying.parts[:-1], neck], end)


def _curl(breed: Breed, rng: np.random.Generator) -> Body:
    g, bend = breed.girth, 0.42 * breed.length
    angle = np.radians(np.array([20, 75, 130, 185, 235]))
    ring = np.stack([bend * np.cos(angle), np.full(5, 0.95 * g), bend * np.sin(angle)], axis=1)
    radii = g * np.array([0.8, 0.98, 1.0, 1.02, 0.95])
    parts = [Part(ring, radii, ("back",) * 5)]
    parts.append(limb("thigh paw", (-0.1, 0.6 * g, -0.9 * bend, 0.6 * g), (0.35 * bend, 0.1, -1.15 * bend, 0.25 * g)))
    parts.append(limb("leg paw", (0.9 * bend, 0.3 * g, 0.1, 0.35 * g), (0.85 * bend, 0.12, -0.55 * bend, 0.26 * g)))
    sweep = np.radians(np.linspace(245, 320 + rng.uniform(0, 40), 5))
    tail_radius = _TAIL_RADIUS[breed.tail] * 1.1
    tail = np.stack([1.3 * bend * np.cos(sweep), np.full(5, 0.12), 1.3 * bend * np.sin(sweep)], axis=1)
    parts.append(Part(tail, np.linspace(1.3, 0.8, 5) * tail_radius, ("tail",) * 4 + ("tip",)))
    return Body(parts, np.array([1.0 * bend, 0.85 * g, -0.12]))


def _neck(breed: Breed, base: tuple[float, float, float], end: np.ndarray) -> Part:
    thick = 0.72 * breed.girth + 0.12 * breed.fur * breed.girth
    return Part(np.array([end, base]), np.array([0.62 * breed.head + 0.1 * breed.girth, thick]), ("neck", "chest"))


_TAIL_RADIUS = {"slim": 0.055, "bushy": 0.10, "plume": 0.10, "curl": 0.10, "stub": 0.07}


def _tail(breed: Breed, base: tuple[float, float, float], rng: np.random.Generator, on_ground: bool) -> Part:
    """A tail that starts backwards from `base` and bends by the same angle at each joint."""
    joints = 2 if breed.tail == "stub" else 7
    total = 0.16 if breed.tail == "stub" else rng.uniform(0.65, 0.9)
    side, up = rng.choice([-1.0, 1.0]), rng.uniform(-0.5, 0.9)
    turn = rng.uniform(-0.35, 0.45)
    if breed.tail == "curl":
        total, up, turn = 0.75, 1.5, 0.62
    balls, point, heading = [], np.array(base), 0.0
    for joint in range(joints):
        bulge = {"plume": 1.0 + 0.5 * np.sin(np.pi * joint / 6), "bushy": 1.0 + 0.4 * np.sin(np.pi * joint / 6)}
        taper = bulge.get(breed.tail, 1.15 - 0.08 * joint)
        balls.append((*point, _TAIL_RADIUS[breed.tail] * taper))
        angle = up + turn * joint
        if on_ground and breed.tail != "curl":
            heading += 0.3 * side
            move = np.array([-np.cos(heading), 0.0, np.sin(heading)])
            move[1] = 0.08 - point[1]
        else:
            move = np.array([-np.cos(angle), np.sin(angle), 0.25 * side])
        point = point + move * total / (joints - 1)
    return limb(" ".join(["tail"] * (joints - 1) + ["tip"]), *balls)
