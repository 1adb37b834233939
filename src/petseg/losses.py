"""Losses on logits. Mathematics only: no files, no devices, no printing.

A loss is a function of sums over images, so that a batch may be shared out among processes or computed in parts: the
sums are added up, and the value is that of the whole batch.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def bce_dice_sums(logits: Tensor, truth: Tensor) -> Tensor:
    """What `bce_dice_of_sums` needs of these images; sums of disjoint parts of a batch add up to the batch's.

    Args:
        logits: (B, 1, H, W), float32 or float64.
        truth: the same shape and dtype, 0 background, 1 pet.

    Returns:
        (4,): Σ binary cross entropy, Σyp, Σy + Σp with p = sigmoid(logits), and the number of pixels;
        float64, so that the order of adding up does not show.
    """
    p = torch.sigmoid(logits)
    bce = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    bce, overlap, pets, predicted = (x.sum(dtype=torch.float64) for x in (bce, truth * p, truth, p))
    return torch.stack([bce, overlap, pets + predicted, bce.new_full((), logits.numel())])


def bce_dice_of_sums(sums: Tensor) -> Tensor:
    """Mean binary cross entropy of all pixels plus the soft Dice loss, report A's loss: (4,) -> scalar >= 0.

    The soft Dice loss is 1 - 2 Σyp / (Σy + Σp) with the sums over the whole batch (report A, equation 1). It lies in
    [0, 1]; without any pet in the batch it is 1, whatever is predicted.
    """
    bce, overlap, total, pixels = sums
    least = torch.finfo(torch.float32).tiny  # gradients are float32, in which its inverse is still finite
    return bce / pixels + 1 - 2 * overlap / total.clamp_min(least)


def bce_dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Report A's loss of a batch: the two above, one after the other."""
    return bce_dice_of_sums(bce_dice_sums(logits, truth))
