"""The temperature of a network's probabilities."""

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import nn

from petseg.evaluation import calibration
from support.trainings import PLAN


def margins_of(scale, pixels=200_000):
    """Margins of pixels whose true logits were multiplied by `scale`."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, pixels)
    truth = rng.random(pixels) < expit(logits)
    return scale * np.where(truth, logits, -logits)


@pytest.mark.parametrize("scale", [0.2, 1.0, 7.0])
def test_an_overconfident_network_is_cooled_by_as_much(scale):
    assert calibration.fit_temperature(margins_of(scale)) == pytest.approx(scale, rel=0.02)


def test_it_is_the_best_of_all_temperatures():
    margins = margins_of(3.0, 2_000)
    grid = np.geomspace(*calibration.BOUNDS, 2_000)
    losses = [np.logaddexp(0, -margins / temperature).mean() for temperature in grid]
    assert calibration.fit_temperature(margins) == pytest.approx(grid[np.argmin(losses)], rel=5e-3)


def test_it_is_bounded():
    low, high = calibration.BOUNDS
    assert calibration.fit_temperature(np.full(10, 5.0)) == pytest.approx(low, rel=1e-3)
    assert calibration.fit_temperature(np.array([5.0, -5.0])) == pytest.approx(high, rel=1e-3)


class RedIsPet(nn.Module):
    """Logit 6 where the red channel is 255, else -6."""

    def forward(self, pixels):
        return (pixels[:, :1] == 255) * 12.0 - 6.0


def test_the_validation_split_decides(monkeypatch):
    """A fifth of the pixels are wrong, so the best logit is log(4)."""
    images, trimaps = np.zeros((5, 64, 64, 3), np.uint8), np.full((5, 64, 64), 2, np.uint8)
    trimaps[:, :32], trimaps[:, 20:32] = 1, 3
    images[1:][trimaps[1:] != 2] = 255
    images[0][trimaps[0] == 2] = 255
    expected = pytest.approx(6 / np.log(4), rel=1e-3)
    assert calibration.fit(RedIsPet(), (images, trimaps), 2, PLAN) == expected
    monkeypatch.setattr(calibration, "_MAX_PIXELS", 5_000)
    assert calibration.fit(RedIsPet().train(), (images, trimaps), 2, PLAN) == expected
    assert torch.is_grad_enabled()
