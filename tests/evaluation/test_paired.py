import math

import numpy as np
import pytest
from scipy import stats

from petseg.evaluation.paired import Difference, critical, difference, holm


def scores(seeds, images, effect=0.0, noise=0.0, seed=0):
    """Scores of (seeds, images) with differences between images, between seeds (`noise`), and the rest."""
    rng = np.random.default_rng(seed)
    image = np.random.default_rng(99).normal(0.9, 0.05, images)
    return image + effect + noise * rng.standard_normal((seeds, 1)) + 0.01 * rng.standard_normal((seeds, images))


def test_one_seed_each_is_the_paired_t_test():
    first, second = scores(1, 30, seed=1)[0], scores(1, 30, effect=-0.005, seed=2)[0]
    found, expected = difference(first, second), stats.ttest_rel(first, second)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert found.mean == pytest.approx(np.mean(first - second))
    assert found.images == 30


def test_one_row_of_seeds_is_one_seed():
    first, second = scores(1, 30, seed=1), scores(1, 30, seed=2)
    assert difference(first, second) == difference(first[0], second[0])


def test_the_sides_can_be_exchanged():
    first, second = scores(3, 20, seed=1), scores(2, 20, effect=0.01, seed=2)
    one, other = difference(first, second), difference(second, first)
    assert (one.mean, one.low, one.high) == pytest.approx((-other.mean, -other.high, -other.low))
    assert one.p == pytest.approx(other.p)
    assert one.better == pytest.approx(1 - other.better)


@pytest.mark.parametrize("seeds", [(4, 3), (3, 3), (4, 1), (1, 2)])
def test_with_very_many_images_it_is_the_t_test_of_the_seeds(seeds):
    first, second = (scores(count, 20_000, noise=0.02, seed=count) for count in seeds)
    found = difference(first, second)
    means = [side.mean(1) for side in (first, second)]
    freedom = sum(seeds) - 2
    pooled = sum(np.square(each - each.mean()).sum() for each in means) / freedom
    error = math.sqrt(pooled * sum(1 / count for count in seeds))
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, freedom) * error, rel=0.02)
    if min(seeds) > 1:
        assert found.p == pytest.approx(stats.ttest_ind(*means).pvalue, rel=0.02)


@pytest.mark.parametrize("size", [0.0, 0.002, 0.02, 0.2])
def test_p_value_and_interval_of_several_seeds_agree(size):
    first, second = scores(3, 40, effect=size, noise=0.004, seed=1), scores(2, 40, noise=0.004, seed=2)
    found = difference(first, second)
    assert found.is_clear == (found.p < 0.05)
    edge = difference(first - found.low, second)  # a side that is worse by the end of the interval
    assert edge.p == pytest.approx(0.05)


def test_the_critical_value_is_cochran_and_coxs():
    # Equal variances with 1 and 2 degrees of freedom: the mean of 12.706 and 4.303 of Student's table
    assert critical([(0.1, 1), (0.1, 2)], 0.05) == pytest.approx((12.706 + 4.303) / 2, abs=1e-3)
    assert critical([(0.3, 1), (0.1, 2)], 0.05) == pytest.approx((3 * 12.706 + 4.303) / 4, abs=1e-3)
    assert critical([(0.1, 9), (0.0, 2)], 0.05) == pytest.approx(2.262, abs=1e-3)


def test_differences_between_seeds_widen_the_interval():
    quiet = difference(scores(3, 50, seed=1), scores(3, 50, seed=2))
    noisy = difference(scores(3, 50, noise=0.02, seed=1), scores(3, 50, noise=0.02, seed=2))
    assert noisy.high - noisy.low > 2 * (quiet.high - quiet.low)


def test_share_of_images_counts_ties_half():
    assert difference(np.array([1, 1, 1, 0, 0.5]), np.array([0, 0, 1, 1, 0.5])).better == pytest.approx(0.6)


def test_equal_scores_and_a_constant_difference():
    values = scores(1, 10)[0]
    assert difference(values, values) == Difference(0, 0, 0, 1, 0.5, 10)
    shifted = difference(np.full(10, 0.75), np.full(10, 0.5))
    assert shifted == Difference(0.25, 0.25, 0.25, 0, 1, 10)
    assert shifted.is_clear
    assert not difference(values, values).is_clear


def test_fewer_than_five_images_have_no_interval():
    found = difference(np.array([0.9, 0.8, 0.7, 0.9]), np.array([0.8, 0.8, 0.6, 0.8]))
    assert found.mean == pytest.approx(0.075)
    assert all(math.isnan(value) for value in (found.low, found.high, found.p))
    assert not found.is_clear


def test_holm():
    # Holm 1979: sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, never decreasing
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.6]) == pytest.approx([1, 1])
    assert holm([math.nan, 0.02, 0.03]) == pytest.approx([math.nan, 0.04, 0.04], nan_ok=True)
    assert len(holm([])) == 0
