"""How large a difference a comparison can detect, and how many seeds a small one needs."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import optimize, stats

from petseg.evaluation import paired

POWER = 0.8  # probability that a true difference is found at the 5 % level
MOST_SEEDS = 100


def detectable(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the smallest true difference that `paired.difference` finds with probability POWER.

    Two-sided, from the noncentral t distribution (Cohen 1988). The variances are estimated by these scores, such that
    half of all estimates are too large.

    Args:
        first: (images,) or (seeds, images), at least 2 images.
        second: the same images.
    """
    parts = paired.variances(np.atleast_2d(first), np.atleast_2d(second))
    return smallest([(variance * _correction(freedom), freedom) for variance, freedom in parts])


def seeds_needed(first: np.ndarray, second: np.ndarray, change: float) -> int | None:
    """Returns how many seeds of each side detect a true difference of `change` with probability POWER.

    Args:
        first: (seeds, images), from several seeds.
        second: the same images.

    Returns:
        At least 2; None if more than MOST_SEEDS seeds are not enough, since the images alone make it too uncertain, or
        if both sides have one seed, which does not say how much seeds matter.
    """
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    by_images, *by_seeds = paired.variances(first, second)
    if not by_seeds:
        return None
    [(variance, freedom)] = by_seeds
    of_one = variance / (1 / len(first) + 1 / len(second)) * _correction(freedom)
    for seeds in range(2, MOST_SEEDS + 1):
        if smallest([by_images, (of_one * 2 / seeds, 2 * seeds - 2)]) <= change:
            return seeds
    return None


def smallest(parts: Sequence[tuple[float, float]]) -> float:
    """Returns the smallest detectable difference if these variances, as from `paired.variances`, are the true ones.

    The noncentral t distribution has the degrees of freedom of Satterthwaite (1946).
    """
    total = sum(variance for variance, _ in parts)
    if not total:
        return 0.0
    freedom = total**2 / sum(variance**2 / freedom for variance, freedom in parts)
    critical = paired.critical(parts, 0.05)

    def missing(shift: float) -> float:
        return float(stats.nct.sf(critical, freedom, shift)) - POWER  # the other tail is negligible

    return math.sqrt(total) * float(optimize.brentq(missing, 0.0, 2 * critical + 5))  # pyright: ignore[reportArgumentType]


def _correction(freedom: float) -> float:
    """Factor by which an estimated variance is too small in half of all cases; far from 1 for few seeds."""
    return float(freedom / stats.chi2.ppf(0.5, freedom))
