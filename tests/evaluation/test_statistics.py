import numpy as np
import pytest

from petseg.evaluation.statistics import bootstrap_interval, constant_prediction, summary


def test_interval_is_that_of_the_percentile_bootstrap():
    values = np.random.default_rng(1).beta(9, 1, 40)
    rng = np.random.default_rng(2)
    means = [rng.choice(values, 40).mean() for _ in range(20_000)]
    assert bootstrap_interval(values, 20_000) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=2e-3)


def test_interval_is_deterministic():
    values = np.random.default_rng(4).random(400)
    assert bootstrap_interval(values, 1000) == bootstrap_interval(values, 1000)


def test_fewer_than_five_images_have_no_interval():
    assert bootstrap_interval(np.array([0.1, 0.5, 0.6, 0.7]), 1000) is None
    low, high = bootstrap_interval(np.array([0.1, 0.5, 0.6, 0.7, 0.8]), 1000)
    assert 0.1 <= low < 0.54 < high <= 0.8


def scores_of(dice):
    return {"dice": dice, "iou": dice - 0.1, "dice_original": dice - 0.2}


def test_summary_has_means_over_images_and_other_numbers():
    dice = np.array([0.5, 1.0, 0.9, 0.7, 0.9])
    found = summary(scores_of(dice), np.ones(5, bool), {"loss": 0.25}, 500)
    assert list(found) == ["dice", "dice_low", "dice_high", "iou", "dice_original", "loss"]
    assert found["dice"] == 0.8
    assert found["iou"] == 0.7
    assert found["dice_original"] == 0.6
    assert 0.5 <= found["dice_low"] < 0.8 < found["dice_high"] <= 1
    assert found["loss"] == 0.25


def test_images_without_a_pet_are_counted_and_scored_apart():
    dice, has_pet = np.array([1.0, 0.4, 1.0, 0.6]), np.array([False, True, False, True])
    found = summary(scores_of(dice), has_pet, {"loss": 0.25}, 500)
    assert (found["dice"], found["dice_nonempty"], found["empty_truths"]) == (0.75, 0.5, 2)
    assert "dice_low" not in found


def test_a_constant_prediction_is_noticed():
    masks = np.zeros((3, 4, 4), bool)
    assert constant_prediction(masks).startswith("predicts no pet")
    assert constant_prediction(~masks).startswith("predicts pet everywhere")
    masks[0, 0, 0] = True
    assert constant_prediction(masks) is constant_prediction(~masks) is None
