import numpy as np
import pytest

from petseg import metrics
from petseg.evaluation import regions


def test_counts_are_those_of_the_masks_under_each_convention():
    rng = np.random.default_rng(0)
    predicted, trimaps = rng.random((5, 9, 7)) < 0.4, rng.integers(1, 4, (5, 9, 7), np.uint8)
    found = np.stack([regions.areas(*each) for each in zip(predicted, trimaps, strict=True)])
    assert found.shape == (5, 3, 2)
    for border, truth in (("foreground", trimaps != 2), ("background", trimaps == 1), ("ignored", trimaps == 1)):
        used = trimaps != 3 if border == "ignored" else np.ones_like(truth)
        counts = regions.counts(found, border)
        for i in range(5):
            p, g = predicted[i][used[i]], truth[i][used[i]]
            assert [each[i].item() for each in counts] == [(p & g).sum(), (p & ~g).sum(), (~p & g).sum()]


def test_conventions_differ_where_the_border_is():
    trimap = np.array([[1, 1, 3, 2]], np.uint8)
    predicted = np.array([[True, True, True, False]])
    found = regions.areas(predicted, trimap)[None]
    dice = {border: metrics.dice(regions.counts(found, border)).item() for border in regions.BORDERS}
    assert dice == pytest.approx({"foreground": 1, "background": 4 / 5, "ignored": 1})
