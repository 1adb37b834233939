"""Losses on logits. Mathematics only: no files, no devices, no printing."""

import torch
from torch import Tensor
from torch.nn import functional as F


def soft_dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """1 - 2 Σyp / (Σy + Σp) with p = sigmoid(logits) and the sums over the whole batch (report A, equation 1).

    Args:
        logits: (B, 1, H, W) float.
        truth: the same shape and dtype, 0 background, 1 pet.

    Returns:
        A scalar in [0, 1]. Without any pet in the batch it is 1, whatever is predicted.
    """
    p = torch.sigmoid(logits)
    overlap, total = (truth * p).sum(), truth.sum() + p.sum()
    return 1 - 2 * overlap / total.clamp_min(torch.finfo(p.dtype).tiny)


def bce_dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Mean binary cross entropy of all pixels plus `soft_dice_loss`, report A's loss; shapes as there, scalar >= 0."""
    return F.binary_cross_entropy_with_logits(logits, truth) + soft_dice_loss(logits, truth)
