"""Scores of binary masks: first the counts of each image, then any score from its counts.

A score is always one number an image; whoever wants a mean takes it over images, never over batches. Where prediction
and truth are both empty, every score is 1.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Counts(NamedTuple):
    """Pixels of each image, (B,) int64: predicted and true, predicted and false, missed."""

    tp: Tensor
    fp: Tensor
    fn: Tensor


def count(prediction: Tensor, truth: Tensor) -> Counts:
    """Counts the pixels of each image.

    Args:
        prediction: (B, H, W) bool, True where pet is predicted.
        truth: (B, H, W) bool, True where pet is.

    Raises:
        ValueError: the shapes differ or a dtype is not bool (a 0/255 mask would give a Dice above 1).
    """
    if prediction.shape != truth.shape or prediction.dtype != truth.dtype or str(truth.dtype) != "torch.bool":
        raise ValueError(
            f"two bool masks of one shape are needed, not {prediction.dtype} {tuple(prediction.shape)} "
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
    """TP / (TP + FP), (B,) float64 in [0, 1]; 0 where nothing is predicted though a pet is there."""
    return _ratio(counts, counts.tp, counts.tp + counts.fp)


def recall(counts: Counts) -> Tensor:
    """TP / (TP + FN), (B,) float64 in [0, 1]; 0 where a pet is predicted though none is there."""
    return _ratio(counts, counts.tp, counts.tp + counts.fn)


def _pixels(mask: Tensor) -> Tensor:
    """How many are True in each image; summed as bytes, which is several times as fast as summing bools."""
    return mask.view(torch.uint8).flatten(1).sum(1, dtype=torch.int32).long()


def _ratio(counts: Counts, part: Tensor, whole: Tensor) -> Tensor:
    both_empty = counts.tp + counts.fp + counts.fn == 0
    return (part.double() / whole.clamp_min(1)).masked_fill(both_empty, 1.0)
