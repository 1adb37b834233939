"""Losses, scores and the logit of two classes against torch and MONAI: values and gradients.

The references compute in float64 from the same logits. Their conventions, where a formula is 0/0 or is smoothed:

- MONAI's soft Dice loss adds `smooth_nr` to 2 Σyp and `smooth_dr` to Σy + Σp, 1e-5 each by default; ours adds the same
  `smooth` to both. Without smoothing, a loss without pet and without predicted pet is NaN there and 1 here.
- MONAI's Dice and IoU of masks skip images without pets by default; with `ignore_empty=False` they are 1 if nothing is
  predicted either, as here. Its precision is NaN if nothing is predicted, and its recall if there is no pet; here both
  are 1 if prediction and truth are empty, else 0.
"""

import math
import os
import warnings

import pytest
import torch
from torch.nn import functional as F

from petseg import losses, metrics
from petseg.config.training import LossParams
from petseg.models import pet_logit

pytestmark = pytest.mark.xdist_group("monai")  # only one process imports it

SHAPES = [(1, 1, 1, 1), (3, 1, 5, 4), (2, 1, 16, 16)]
DTYPES = [torch.float32, torch.float64]
NAN = math.nan
SURE = 100.0  # as a logit: the probabilities are 1 and 4e-44
GONE = -1e4  # as a logit: the probability is 0
# weights of cross entropy and soft Dice, over what, smooth
LOSSES = [
    (1, 0, "batch", 0),
    (0, 1, "batch", 0),
    (0, 1, "image", 0),
    (0.5, 2, "batch", 1),
    (0.5, 2, "image", 3),
    (0, 1, "image", 1e-9),
]


@pytest.fixture(scope="module")
def monai():
    """MONAI, without the environment variables that its import sets: a training must set one of them itself."""
    before = dict(os.environ)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about this machine and its packages
        import monai
    os.environ.clear()
    os.environ.update(before)
    return monai


def loss_of(weights, classes):
    entropy, dice, dice_over, smooth = weights
    names = ("bce", "cross_entropy") if classes == 1 else ("cross_entropy", "bce")
    return losses.build(
        LossParams(**dict(zip(names, (entropy, 0), strict=True)), dice=dice, dice_over=dice_over, smooth=smooth)
    )


def their_loss(monai, weights, logits, truth):
    """The loss of logits (B, 1 or 2, H, W) by cross entropy of two classes and MONAI's Dice of the pet alone."""
    entropy, dice, dice_over, smooth = weights
    one, truth = logits.shape[1] == 1, truth.double()
    soft_dice = monai.losses.DiceLoss(
        **({"sigmoid": True} if one else {"softmax": True, "to_onehot_y": True, "include_background": False}),
        batch=dice_over == "batch",
        smooth_nr=smooth,
        smooth_dr=smooth,
    )
    two = torch.cat([torch.zeros_like(logits), logits], dim=1) if one else logits
    return entropy * F.cross_entropy(two, truth[:, 0].long()) + dice * soft_dice(logits, truth)


def assert_agree(monai, weights, logits, truth):
    """Asserts that our loss and gradient of these logits are finite and theirs."""
    ours, theirs = (logits.to(dtype, copy=True).requires_grad_() for dtype in (logits.dtype, torch.float64))
    value = loss_of(weights, logits.shape[1])(pet_logit(ours), truth)
    reference = their_loss(monai, weights, theirs, truth)
    value.backward()
    reference.backward()
    close = {"rtol": 1e-10, "atol": 1e-13} if logits.dtype == torch.float64 else {"rtol": 1e-5, "atol": 1e-6}
    assert value.isfinite()
    assert ours.grad.isfinite().all()
    torch.testing.assert_close(value, reference, **close)
    torch.testing.assert_close(ours.grad.double(), theirs.grad, **close)


def random_batch(shape, dtype, seed, classes=1):
    generator = torch.Generator().manual_seed(seed)
    size = (shape[0], classes, *shape[2:])
    logits = 3 * torch.randn(size, generator=generator, dtype=torch.float64)
    return logits.to(dtype), (torch.rand(shape, generator=generator) > 0.6).to(dtype)


def degenerate_batches(shape, dtype):
    """Logits and truth: each of random, empty and full with each of those."""
    logits, truth = random_batch(shape, dtype, seed=9)
    for x in (logits, torch.full_like(logits, -SURE), torch.full_like(logits, SURE)):
        for y in (truth, torch.zeros_like(truth), torch.ones_like(truth)):
            yield x, y


@pytest.mark.parametrize("weights", LOSSES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_losses_are_theirs(monai, shape, classes, dtype, weights):
    for seed in range(5):
        assert_agree(monai, weights, *random_batch(shape, dtype, seed, classes))
    for logits, truth in degenerate_batches(shape, dtype):
        assert_agree(monai, weights, logits if classes == 1 else torch.cat([-logits / 2, logits / 2], dim=1), truth)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("over", ["batch", "image"])
@pytest.mark.parametrize("shape", SHAPES)
def test_soft_dice_of_no_pet_and_no_trace_of_one(monai, shape, over, dtype):
    logits, truth = torch.full(shape, GONE, dtype=dtype, requires_grad=True), torch.zeros(shape, dtype=dtype)
    assert their_loss(monai, (0, 1, over, 0), logits, truth).isnan()
    loss = loss_of((1, 1, over, 0), 1)(logits, truth)
    loss.backward()
    assert loss == 1
    assert not logits.grad.any()
    assert_agree(monai, (1, 1, over, 1), logits.detach(), truth)  # smoothed, it is a loss of 0 for both


def test_an_image_without_a_trace_of_a_pet_changes_no_other_one(monai):
    logits, truth = random_batch((2, 1, 5, 4), torch.float64, seed=0)
    logits[0], truth[0] = GONE, 0
    logits.requires_grad_()
    loss = loss_of((0, 1, "image", 0), 1)(logits, truth)
    loss.backward()
    other = logits.detach()[1:].requires_grad_()
    reference = (1 + their_loss(monai, (0, 1, "image", 0), other, truth[1:])) / 2
    reference.backward()
    torch.testing.assert_close(loss, reference)
    torch.testing.assert_close(logits.grad, torch.cat([torch.zeros_like(other), other.grad]))


@pytest.mark.parametrize("weights", LOSSES)
def test_nan_stays_nan(weights):
    logits, truth = random_batch((2, 1, 4, 4), torch.float32, seed=0)
    logits[1, 0, 2, 3] = torch.nan
    for y in (truth, torch.zeros_like(truth), torch.ones_like(truth)):
        assert loss_of(weights, 1)(logits, y).isnan()
        assert loss_of(weights, 2)(pet_logit(torch.cat([logits, -logits], dim=1)), y).isnan()


def their_scores(monai, prediction, truth):
    """Dice, IoU, precision and recall, (4, B), and the counts TP, FP and FN, (3, B), of bool masks (B, H, W)."""
    masks = prediction[:, None].double(), truth[:, None].double()
    matrix = monai.metrics.get_confusion_matrix(*masks)[:, 0]  # (B, 4): TP, FP, TN, FN
    scores = [
        monai.metrics.compute_dice(*masks, ignore_empty=False)[:, 0],
        monai.metrics.compute_iou(*masks, ignore_empty=False)[:, 0],
        *(monai.metrics.compute_confusion_matrix_metric(name, matrix) for name in ("precision", "recall")),
    ]
    return torch.stack([score.double() for score in scores]), matrix[:, [0, 1, 3]].T.long()


def our_scores(prediction, truth):
    counts = metrics.count(prediction, truth)
    scores = [score(counts) for score in (metrics.dice, metrics.iou, metrics.precision, metrics.recall)]
    return torch.stack(scores), torch.stack(counts)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(20, 6, 7), (3, 40, 50)])
def test_scores_of_random_masks_are_theirs(monai, shape, seed):
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand(shape, generator=generator) < 0.5, torch.rand(shape, generator=generator) < 0.3
    (ours, our_counts), (theirs, their_counts) = our_scores(*masks), their_scores(monai, *masks)
    assert torch.equal(our_counts, their_counts)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)  # theirs divide in float32


@pytest.mark.parametrize("size", [(1, 1), (3, 4)])
@pytest.mark.parametrize(
    ("predicted", "is_there", "theirs", "ours"),
    [
        (False, False, [1, 1, NAN, NAN], [1, 1, 1, 1]),
        (False, True, [0, 0, NAN, 0], [0, 0, 0, 0]),
        (True, False, [0, 0, 0, NAN], [0, 0, 0, 0]),
        (True, True, [1, 1, 1, 1], [1, 1, 1, 1]),
    ],
)
def test_scores_of_degenerate_masks(monai, size, predicted, is_there, theirs, ours):
    masks = torch.full((2, *size), predicted), torch.full((2, *size), is_there)
    assert torch.equal(our_scores(*masks)[0], torch.tensor([ours] * 2).T.double())
    found = their_scores(monai, *masks)[0]
    torch.testing.assert_close(found, torch.tensor([theirs] * 2).T.double(), equal_nan=True, rtol=0, atol=0)
