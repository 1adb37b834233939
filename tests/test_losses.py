import math

import pytest
import torch
from torch.nn import functional as F

from petseg.losses import Loss

bce_dice_loss = Loss(entropy=1.0, dice=1.0)


def soft_dice_loss(logits, truth):
    return bce_dice_loss(logits, truth) - F.binary_cross_entropy_with_logits(logits, truth)


def random_batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 1, 5, 4, generator=generator, dtype=torch.float64)
    truth = (torch.rand(3, 1, 5, 4, generator=generator) > 0.6).double()
    return logits, truth


def test_soft_dice_is_the_reports_formula_over_the_whole_batch():
    logits, truth = random_batch()
    overlap = total = 0.0
    for x, y in zip(logits.flatten().tolist(), truth.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-x))
        overlap, total = overlap + y * p, total + y + p
    assert soft_dice_loss(logits, truth).item() == pytest.approx(1 - 2 * overlap / total, rel=1e-12)


def test_bce_dice_adds_the_mean_cross_entropy():
    logits, truth = random_batch(1)
    entropy = [
        -math.log(1 / (1 + math.exp(-x if y else x)))
        for x, y in zip(logits.flatten().tolist(), truth.flatten().tolist(), strict=True)
    ]
    expected = sum(entropy) / len(entropy) + soft_dice_loss(logits, truth).item()
    assert bce_dice_loss(logits, truth).item() == pytest.approx(expected, rel=1e-12)


def test_a_right_answer_costs_nothing_and_a_wrong_one_everything():
    truth = torch.zeros(1, 1, 4, 4)
    truth[..., :2] = 1
    sure = torch.where(truth > 0, 40.0, -40.0)
    assert bce_dice_loss(sure, truth).item() == pytest.approx(0, abs=1e-6)
    assert soft_dice_loss(-sure, truth).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("truth", [torch.zeros(2, 1, 3, 3), torch.ones(2, 1, 3, 3), torch.zeros(1, 1, 1, 1)])
@pytest.mark.parametrize("logit", [-200.0, 0.0, 200.0])
def test_degenerate_batches_stay_finite_with_their_gradients(truth, logit):
    logits = torch.full_like(truth, logit, requires_grad=True)
    loss = bce_dice_loss(logits, truth)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


def test_soft_dice_without_any_pet_is_one():
    assert soft_dice_loss(torch.randn(2, 1, 3, 3), torch.zeros(2, 1, 3, 3)).item() == pytest.approx(1, abs=1e-6)
    assert bce_dice_loss(torch.full((1, 1, 2, 2), -1e4), torch.zeros(1, 1, 2, 2)).item() == 1


def test_sums_of_parts_add_up_to_those_of_the_batch():
    logits, truth = random_batch(2)
    parts = sum(bce_dice_loss.sums(logits[part], truth[part]) for part in (slice(0, 1), slice(1, 3), slice(3, 3)))
    torch.testing.assert_close(parts, bce_dice_loss.sums(logits, truth))
    assert bce_dice_loss.of_sums(parts).item() == pytest.approx(bce_dice_loss(logits, truth).item(), rel=1e-12)
