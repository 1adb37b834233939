"""What makes a loss additive; its values and gradients are checked in test_formulas.py."""

import pytest
import torch

from petseg.losses import Loss


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("loss", [Loss(1, 1), Loss(0.5, 2, "image", 3), Loss(0, 1, "batch", 1)])
def test_sums_of_parts_add_up_to_those_of_the_batch(loss, dtype):
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(3, 1, 5, 4, generator=generator, dtype=dtype)
    truth = (torch.rand(3, 1, 5, 4, generator=generator) > 0.6).to(dtype)
    parts = sum(loss.sums(logits[part], truth[part]) for part in (slice(0, 1), slice(1, 3), slice(3, 3)))
    whole = loss.sums(logits, truth)
    assert whole.dtype == torch.float64
    close = {"rtol": 1e-12 if dtype == torch.float64 else 1e-6, "atol": 0}  # vector units round by where a pixel lies
    torch.testing.assert_close(parts, whole, **close)
    torch.testing.assert_close(loss.of_sums(parts), loss(logits, truth), **close)
