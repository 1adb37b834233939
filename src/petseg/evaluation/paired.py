"""Paired comparison of scores on the same test images, for one training of each side or for several seeds."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

from petseg.evaluation.statistics import MIN_IMAGES

SMALLEST_P = 1e-16  # that `difference` computes


class Difference(NamedTuple):
    """How much the first side is better than the second, on the scale of the score.

    Attributes:
        mean: the mean over images of first - second.
        low, high: its 95 % interval; NaN for fewer than MIN_IMAGES images.
        p: two-sided p-value of no difference, consistent with the interval; NaN if there is none.
        better: share of images on which the first side is better; equal ones count half.
        images: number of images.
    """

    mean: float
    low: float
    high: float
    p: float
    better: float
    images: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


def difference(first: np.ndarray, second: np.ndarray) -> Difference:
    """Compares the scores of two sides on the same images.

    For one seed each, this is the paired t-test over images (Student 1908): it covers the choice of the images and
    nothing else. For several seeds, images and seeds are random effects. The variance of the mean is the sum of

    - the variance over images of the difference of the means over seeds, divided by the number of images;
    - the variance over seeds of the mean over images, pooled over both sides, times the sum of the inverse numbers of
      seeds.

    The critical value follows Cochran and Cox (1957); with few seeds it errs on the safe side. Equal seeds are not
    paired: two experiments with one seed share no random numbers that would make their results similar.

    Args:
        first: (images,) or (seeds, images).
        second: the same images in the same order; the number of seeds may differ.
    """
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    change = first.mean(0) - second.mean(0)
    mean, images = float(change.mean()), len(change)
    better = float(np.mean((np.sign(change) + 1) / 2))
    if images < MIN_IMAGES:
        return Difference(mean, math.nan, math.nan, math.nan, better, images)
    parts = variances(first, second)
    error = math.sqrt(sum(variance for variance, _ in parts))
    if not error:
        return Difference(mean, mean, mean, float(mean == 0), better, images)
    half = critical(parts, 0.05) * error
    return Difference(mean, mean - half, mean + half, p_value(parts, abs(mean) / error), better, images)


FEW = 10  # images; smaller groups are merged


def groups(labels: Sequence[str], first: np.ndarray, second: np.ndarray, others: str) -> dict[str, Difference]:
    """Compares two sides within groups of images, such as breeds; the groups where the first is best come first.

    Args:
        labels: the group of each image.
        first, second: as for `difference`.
        others: the label under which groups of fewer than FEW images are merged.
    """
    first, second, names = np.atleast_2d(first), np.atleast_2d(second), np.asarray(labels, dtype=str)
    kinds, places, sizes = np.unique(names, return_inverse=True, return_counts=True)
    names = np.where(sizes[places] < FEW, others, kinds[places])
    found = {name: difference(first[:, names == name], second[:, names == name]) for name in np.unique(names).tolist()}
    return dict(sorted(found.items(), key=lambda item: -item[1].mean))


def variances(first: np.ndarray, second: np.ndarray) -> list[tuple[float, int]]:
    """Variances of the mean difference by the choice of images and, unless both sides have one seed, of seeds.

    Args:
        first, second: (seeds, images).

    Returns:
        Each with its degrees of freedom.
    """
    change = first.mean(0) - second.mean(0)
    parts = [(float(change.var(ddof=1)) / len(change), len(change) - 1)]
    if freedom := len(first) + len(second) - 2:
        squares = sum(float(np.square(side.mean(1) - side.mean()).sum()) for side in (first, second))
        parts.append((squares / freedom * (1 / len(first) + 1 / len(second)), freedom))
    return parts


def critical(parts: Sequence[tuple[float, float]], p: float) -> float:
    """The difference, in standard errors, that has the two-sided p-value `p`.

    It is the mean of the critical values of Student's t distributions, weighted by the variances (Cochran and Cox
    1957).

    Args:
        parts: variances with their degrees of freedom, as from `variances`; at least one variance is not 0.
    """
    total = sum(variance for variance, _ in parts)
    return sum(variance * float(stats.t.isf(p / 2, freedom)) for variance, freedom in parts) / total


def p_value(parts: Sequence[tuple[float, float]], statistic: float) -> float:
    """The two-sided p-value of a difference of `statistic` standard errors, at least SMALLEST_P; inverts `critical`."""
    if critical(parts, SMALLEST_P) <= statistic:
        return SMALLEST_P
    log = optimize.brentq(lambda log: critical(parts, math.exp(log)) - statistic, math.log(SMALLEST_P), 0.0)
    return math.exp(log)  # pyright: ignore[reportArgumentType]


def holm(p_values: Sequence[float]) -> np.ndarray:
    """P-values corrected for several comparisons (Holm 1979), in the same order; NaN is left out and stays NaN."""
    p = np.asarray(p_values, float)
    corrected = np.full(p.shape, math.nan)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]  # NaN comes last
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1)
    return corrected
