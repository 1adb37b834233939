import numpy as np
import pytest

from petseg.evaluation.statistics import bootstrap_interval, summary


def test_interval_is_that_of_the_percentile_bootstrap():
    values = np.random.default_rng(1).beta(9, 1, 40)
    rng = np.random.default_rng(2)
    means = [rng.choice(values, 40).mean() for _ in range(20_000)]
    assert bootstrap_interval(values, 20_000) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=2e-3)


def test_interval_is_deterministic():
    values = np.random.default_rng(4).random(400)
    assert bootstrap_interval(values, 1000) == bootstrap_interval(values, 1000)


def test_summary_has_means_over_images_and_the_loss():
    dice = np.array([0.5, 1.0, 0.9])
    scores = {"dice": dice, "iou": dice - 0.1, "precision": dice, "recall": dice, "dice_original": dice - 0.2}
    found = summary(scores, 0.25, 500)
    assert list(found) == ["dice", "dice_low", "dice_high", "iou", "precision", "recall", "dice_original", "loss"]
    assert found["dice"] == 0.8
    assert found["iou"] == 0.7
    assert found["dice_original"] == 0.6
    assert 0.5 <= found["dice_low"] < 0.8 < found["dice_high"] <= 1
    assert found["loss"] == 0.25
