"""Predicts and scores every image of the test split."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from petseg import losses, metrics, models
from petseg.batches.evaluation import batches_in_order
from petseg.compute import Plan
from petseg.data.packed import Originals
from petseg.runtime.errors import PetsegError

SCORES = ("dice", "iou", "precision", "recall", "dice_original")

_MAX_THREADS = 4  # batches at once; without gradients they need about as much memory as one batch in training


class Scored(NamedTuple):
    """Predictions and scores of one network on N images of S x S pixels, or on one batch of them."""

    masks: np.ndarray  # (N, S, S) bool, True where the probability of pet is above 0.5
    scores: dict[str, np.ndarray]  # for each of SCORES (N,) float64
    loss: float  # mean over batches, weighted by their images, as in validation


def score(
    network: nn.Module,
    images: np.ndarray,
    trimaps: np.ndarray,
    originals: Originals | Sequence[np.ndarray],
    batch_size: int,
    plan: Plan,
    loss: losses.Loss,
    on_batch: Callable[[int], object] = lambda images: None,
) -> Scored:
    """Scores a network on every image once, in order.

    Several threads process one whole batch each. On a CPU that is faster than batch after batch, where threads wait for
    each other in every layer. On a GPU some threads count pixels while it computes.

    Args:
        network: (B, 3, S, S) pixels in [0, 255] -> logits, (B, 1, S, S) or (B, 2, S, S). It is left in eval mode.
        images: (N, S, S, 3) uint8.
        trimaps: (N, S, S) uint8.
        originals: N masks at the size of the original images, (h, w) bool each.
        plan: where and how `network` is computed; it must be there already.
        on_batch: called with the number of images after each batch.

    Raises:
        PetsegError: a logit is NaN or infinite. It would count as background.
    """
    network.eval()

    @torch.inference_mode()
    def score_batch(number: int) -> Scored:
        first = number * batch_size
        image, mask = next(batches_in_order(images, trimaps, batch_size, first=number))
        pixels, truth = plan.inputs(image, mask)
        with plan.autocast():
            logits = models.pet_logit(network(pixels).float())  # (B, 1, S, S)
        batch_loss = loss(logits, truth).item()
        logits = logits.cpu()
        _check_finite(logits, first)
        predicted = logits[:, 0] > 0  # sigmoid(0) = 0.5
        counts = metrics.count(predicted, mask)
        original = torch.tensor([_count_at_original_size(one, originals[i]) for i, one in enumerate(logits, first)])
        columns = [each(counts) for each in (metrics.dice, metrics.iou, metrics.precision, metrics.recall)]
        columns.append(metrics.dice(metrics.Counts(*original.T)))
        return Scored(predicted.numpy(), {k: v.numpy() for k, v in zip(SCORES, columns, strict=True)}, batch_loss)

    cores = torch.get_num_threads()
    threads = min(cores, _MAX_THREADS)
    scored = []
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(cores // threads,)) as pool:
        for batch in pool.map(score_batch, range(-(-len(images) // batch_size))):
            scored.append(batch)
            on_batch(len(batch.masks))
    masks = np.concatenate([batch.masks for batch in scored])
    scores = {name: np.concatenate([batch.scores[name] for batch in scored]) for name in SCORES}
    return Scored(masks, scores, sum(batch.loss * len(batch.masks) for batch in scored) / len(images))


def _check_finite(logits: Tensor, first: int) -> None:
    """Raises a PetsegError for the first image with a NaN or infinite logit; `first` is the number of logits[0]."""
    bad = (~logits.isfinite()).flatten(1).any(1).nonzero()
    if len(bad):
        raise PetsegError(
            f"A logit of image {first + bad[0].item()} of the split (from 0) is NaN or infinite; train the network "
            "again, with a lower lr or train.precision=fp32."
        )


def _count_at_original_size(logits: Tensor, truth: np.ndarray) -> tuple[int, int, int]:
    """Counts tp, fp and fn of logits (1, S, S), resized bilinearly, against a mask (h, w) bool.

    For a single image numpy takes a third of the time of `metrics.count`.
    """
    resized = F.interpolate(logits[None], size=truth.shape, mode="bilinear", align_corners=False)
    predicted = resized[0, 0].numpy() > 0
    tp, positive, pets = (int(np.count_nonzero(mask)) for mask in (predicted & truth, predicted, truth))
    return tp, positive - tp, pets - tp
