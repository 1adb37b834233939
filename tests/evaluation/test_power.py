import numpy as np
import pytest
from scipy import stats

from compare import SETTINGS, Simulation
from petseg.evaluation import power


@pytest.fixture(scope="module")
def scores():
    """Dice of 200 images with two networks, one better than the other, both skewed as real scores are."""
    rng = np.random.default_rng(5)
    first = 1 - rng.gamma(2, 0.03, 200)
    return np.stack([first, first - rng.gamma(1, 0.02, 200)], axis=1)


def test_with_many_images_the_detectable_difference_is_that_of_the_normal_distribution():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.9, 0.05, (2, 50_000))
    error = np.std(first - second) / np.sqrt(50_000)
    assert power.detectable(first, second) == pytest.approx(2.8016 * error, rel=1e-3)


def test_few_images_are_as_in_cohens_tables():
    # Paired t-test with 20 pairs: power 0.80 at an effect of 0.66 standard deviations (Cohen 1988, d_z)
    change = stats.norm.ppf((np.arange(20) + 0.5) / 20)
    change *= 1 / change.std(ddof=1)
    found = power.detectable(change, np.zeros(20))
    assert found / np.sqrt(19 / stats.chi2.ppf(0.5, 19)) == pytest.approx(0.66, abs=0.005)


def test_equal_scores_detect_everything():
    assert power.detectable(np.full(9, 0.5), np.full(9, 0.5)) == 0


def test_more_seeds_are_needed_for_less_and_never_help_against_few_images(scores):
    first, second = Simulation(scores, (3, 3), 0.004, 2000).draw(np.random.default_rng(1))
    needed = [power.seeds_needed(first, second, change) for change in (0.02, 0.008, 0.006)]
    assert needed == sorted(needed)
    assert needed[0] < needed[-1] <= power.MOST_SEEDS
    assert power.seeds_needed(first, second, 1e-4) is None
    assert power.seeds_needed(first[:1], second[:1], 0.02) is None
    assert power.seeds_needed(first[:1], second, 0.02) is not None


@pytest.mark.parametrize(("seeds", "noise"), [each for each in SETTINGS if each[0] != (5, 5)])
def test_false_alarms_and_power_in_simulated_comparisons(scores, seeds, noise):
    count = 400
    alarms, size, found, estimate = Simulation(scores, seeds, noise, 100).rates(count)
    assert alarms <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / count)
    assert estimate == pytest.approx(size, rel=0.2)
    assert found == pytest.approx(power.POWER, abs=0.05 + 3 * np.sqrt(0.8 * 0.2 / count))
