"""Scores of binary masks: pixel counts of each image, and scores computed from the counts.

Every score is one number per image; means are taken over images, never over batches. If prediction and truth are both
empty, every score is 1.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Counts(NamedTuple):
    """True positive, false positive and false negative pixels of each image, (B,) int64."""

    tp: Tensor
    fp: Tensor
    fn: Tensor


def count(prediction: Tensor, truth: Tensor) -> Counts:
    """Counts the pixels of each image.

    Args:
        prediction: (B, H, W) bool, True for predicted pet.
        truth: (B, H, W) bool, True for pet.

    Raises:
        ValueError: the shapes differ, or a dtype is not bool (a 0/255 mask would give a Dice above 1).
    """
    if prediction.shape != truth.shape or prediction.dtype != torch.bool or truth.dtype != torch.bool:
        raise ValueError(
            f"expected two bool masks of equal shape, got {prediction.dtype} {tuple(prediction.shape)} "
            f"and {truth.dtype} {tuple(truth.shape)}"
        )
    tp = _pixels(prediction & truth)
    return Counts(tp, _pixels(prediction) - tp, _pixels(truth) - tp)


def dice(counts: Counts) -> Tensor:
    """2 TP / (2 TP + FP + FN), (B,) float64 in [0, 1] (Dice 1945)."""
    return _ratio(counts, 2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)


def iou(counts: Counts) -> Tensor:
    """TP / (TP + FP + FN), (B,) float64 in [0, 1] (Jaccard 1912)."""
    return _ratio(counts, counts.tp, counts.tp + counts.fp + counts.fn)


def precision(counts: Counts) -> Tensor:
    """TP / (TP + FP), (B,) float64 in [0, 1]; 0 if nothing is predicted although there is a pet."""
    return _ratio(counts, counts.tp, counts.tp + counts.fp)


def recall(counts: Counts) -> Tensor:
    """TP / (TP + FN), (B,) float64 in [0, 1]; 0 if a pet is predicted although there is none."""
    return _ratio(counts, counts.tp, counts.tp + counts.fn)


def image_dice(logits: Tensor, truth: Tensor) -> Tensor:
    """Dice of each image at threshold 0.5 (logit 0): logits and truth, 0 or 1, (B, 1, H, W) -> (B,) float64."""
    return dice(count(logits.squeeze(1) > 0, truth.squeeze(1) > 0))


def _pixels(mask: Tensor) -> Tensor:
    """Number of True pixels in each image. Summing bytes is several times as fast as summing bools."""
    return mask.view(torch.uint8).flatten(1).sum(1, dtype=torch.int32).long()


def _ratio(counts: Counts, part: Tensor, whole: Tensor) -> Tensor:
    both_empty = counts.tp + counts.fp + counts.fn == 0
    return (part.double() / whole.clamp_min(1)).masked_fill(both_empty, 1.0)
