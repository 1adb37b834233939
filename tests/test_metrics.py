import pytest
import torch

from petseg import metrics


def masks(*rows):
    return torch.tensor(rows, dtype=torch.bool)[:, None, :]  # (B, 1, W)


def test_count_refuses_other_dtypes_and_shapes():
    good = masks([1, 0])
    for bad in (good.to(torch.uint8) * 255, good.float(), masks([1, 0, 0]), masks([1, 0], [1, 0])):
        with pytest.raises(ValueError, match="bool masks of equal shape"):
            metrics.count(bad, good)
        with pytest.raises(ValueError, match="bool masks of equal shape"):
            metrics.count(good, bad)
