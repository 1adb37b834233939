"""The sentence at the top of the report."""

import numpy as np
import pandas as pd
import pytest

from petseg.config.networks import NETWORKS
from petseg.report.content import finding


def table(shift, count=30):
    """Scores of which UNet's are `shift` higher on average, and higher on three of four images at least."""
    resnet = np.random.default_rng(0).uniform(0.6, 0.9, count)
    return pd.DataFrame({"unet": resnet + shift + np.tile([0.01, -0.01], count)[:count] / 2, "resnet34_unet": resnet})


def test_the_better_network_is_named_first():
    assert finding(table(0.02)) == "UNet beats ResNet34-UNet by 0.020 Dice [0.018, 0.022]; better on 100% of 30 images"
    assert finding(table(-0.02)).startswith("ResNet34-UNet beats UNet by 0.020 Dice [0.018, 0.022]; better on 100%")


def test_an_interval_that_contains_0_shows_nothing():
    assert finding(table(0)) == "No difference shown between UNet and ResNet34-UNet: +0.000 Dice [-0.002, +0.002]"
    assert finding(table(0.02, count=4)) == "No difference shown between UNet and ResNet34-UNet: +0.020 Dice"


def test_there_is_none_for_another_number_of_networks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(NETWORKS, "resnet34_unet")
    assert finding(table(0.02)) == ""
