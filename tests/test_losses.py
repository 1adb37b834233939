"""Losses are additive over parts of a batch; test_formulas.py checks values and gradients."""

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
    close = {"rtol": 1e-12 if dtype == torch.float64 else 1e-6, "atol": 0}  # vectorized sums depend on the position
    torch.testing.assert_close(parts, whole, **close)
    components = loss.components(parts)
    torch.testing.assert_close(loss.total(components), loss(logits, truth), **close)
    assert loss.total(components) == loss.entropy * components[0] + loss.dice * components[1]


def test_components_are_cross_entropy_and_soft_dice():
    logits, truth = torch.tensor([[[[0.0, 2.0]]], [[[-1.0, 0.0]]]]), torch.tensor([[[[0.0, 1.0]]], [[[0.0, 1.0]]]])
    p = torch.sigmoid(logits)
    for dice_over, soft_dice in (
        ("batch", 1 - 2 * (p * truth).sum() / (p.sum() + truth.sum())),
        ("image", (1 - 2 * (p * truth).sum((1, 2, 3)) / (p + truth).sum((1, 2, 3))).mean()),
    ):
        loss = Loss(3, 5, dice_over)
        components = loss.components(loss.sums(logits, truth))
        entropy = torch.nn.functional.binary_cross_entropy(p, truth)
        assert components.tolist() == pytest.approx([entropy.item(), soft_dice.item()], rel=1e-6)
        assert loss.total(components).item() == pytest.approx(3 * entropy.item() + 5 * soft_dice.item(), rel=1e-6)
