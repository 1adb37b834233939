import numpy as np
import pytest
import torch

from petseg import metrics


def masks(*rows):
    return torch.tensor(rows, dtype=torch.bool)[:, None, :]  # (B, 1, W)


def test_counts_are_of_each_image():
    counts = metrics.count(masks([1, 1, 0, 0], [0, 0, 0, 1]), masks([1, 0, 1, 1], [0, 0, 0, 1]))
    assert counts.tp.tolist() == [1, 1]
    assert counts.fp.tolist() == [1, 0]
    assert counts.fn.tolist() == [2, 0]


def test_scores_agree_with_sets_of_pixels():
    rng = np.random.default_rng(0)
    prediction, truth = rng.random((20, 6, 7)) < 0.5, rng.random((20, 6, 7)) < 0.3
    counts = metrics.count(torch.from_numpy(prediction), torch.from_numpy(truth))
    for i in range(20):
        p, g = set(np.flatnonzero(prediction[i])), set(np.flatnonzero(truth[i]))
        assert metrics.dice(counts)[i].item() == pytest.approx(2 * len(p & g) / (len(p) + len(g)))
        assert metrics.iou(counts)[i].item() == pytest.approx(len(p & g) / len(p | g))
        assert metrics.precision(counts)[i].item() == pytest.approx(len(p & g) / len(p))
        assert metrics.recall(counts)[i].item() == pytest.approx(len(p & g) / len(g))


@pytest.mark.parametrize(
    ("prediction", "truth", "dice", "iou", "precision", "recall"),
    [
        ([0, 0], [0, 0], 1, 1, 1, 1),  # both empty: as right as can be
        ([0, 0], [1, 0], 0, 0, 0, 0),
        ([1, 0], [0, 0], 0, 0, 0, 0),
        ([1, 1], [1, 1], 1, 1, 1, 1),
        ([1, 1], [1, 0], 2 / 3, 1 / 2, 1 / 2, 1),
    ],
)
def test_degenerate_masks(prediction, truth, dice, iou, precision, recall):
    counts = metrics.count(masks(prediction), masks(truth))
    scores = [f(counts).item() for f in (metrics.dice, metrics.iou, metrics.precision, metrics.recall)]
    assert scores == pytest.approx([dice, iou, precision, recall])


def test_the_mean_is_over_images_and_not_over_pixels():
    counts = metrics.count(masks([1, 0, 0, 0], [1, 1, 1, 1]), masks([0, 1, 0, 0], [1, 1, 1, 1]))
    assert metrics.dice(counts).mean().item() == 0.5  # pooled counts would give 0.8


def test_anything_but_two_bool_masks_of_one_shape_is_refused():
    good = masks([1, 0])
    for bad in (good.to(torch.uint8) * 255, good.float(), masks([1, 0, 0]), masks([1, 0], [1, 0])):
        with pytest.raises(ValueError, match="bool masks of one shape"):
            metrics.count(bad, good)
        with pytest.raises(ValueError, match="bool masks of one shape"):
            metrics.count(good, bad)
