import pytest
import torch

from petseg import metrics


def masks(*rows):
    return torch.tensor(rows, dtype=torch.bool)[:, None, :]  # (B, 1, W)


def test_counts_are_per_image():
    counts = metrics.count(masks([1, 1, 0, 0], [0, 0, 0, 1]), masks([1, 0, 1, 1], [0, 0, 0, 1]))
    assert counts.tp.tolist() == [1, 1]
    assert counts.fp.tolist() == [1, 0]
    assert counts.fn.tolist() == [2, 0]


def test_the_mean_is_over_images_and_not_over_pixels():
    counts = metrics.count(masks([1, 0, 0, 0], [1, 1, 1, 1]), masks([0, 1, 0, 0], [1, 1, 1, 1]))
    assert metrics.dice(counts).mean().item() == 0.5  # pooled counts would give 0.8


def test_count_refuses_other_dtypes_and_shapes():
    good = masks([1, 0])
    for bad in (good.to(torch.uint8) * 255, good.float(), masks([1, 0, 0]), masks([1, 0], [1, 0])):
        with pytest.raises(ValueError, match="bool masks of equal shape"):
            metrics.count(bad, good)
        with pytest.raises(ValueError, match="bool masks of equal shape"):
            metrics.count(good, bad)
