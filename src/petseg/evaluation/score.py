"""Predicts and scores every image of the test split."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import add
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from petseg import losses, models
from petseg.batches.evaluation import batches_in_order
from petseg.compute import Plan
from petseg.data.packed import Originals, foreground
from petseg.evaluation import boundary, regions
from petseg.evaluation.reliability import Reliability
from petseg.runtime.errors import PetsegError

_MAX_THREADS = 4  # batches at once; without gradients they need about as much memory as one batch in training


class Scored(NamedTuple):
    """Predictions and scores of one network on N images of S x S pixels, or on one batch of them.

    A prediction is pet where the probability of pet is above 0.5. At the original size of an image, its logits are
    enlarged bilinearly before.
    """

    masks: np.ndarray  # (N, S, S) bool, predictions at the size of the network
    areas: np.ndarray  # (N, 3, 2) of `regions.areas`, at the size of the network
    original_areas: np.ndarray  # the same at the original size
    boundary: np.ndarray  # (N, 4) of `boundary.scores`, at the original size, with the border as foreground
    raw: Reliability  # of all pixels at the size of the network, with the border as foreground
    calibrated: Reliability  # the same after division of the logits by the temperature
    loss: float  # mean over batches, weighted by their images, as in validation


def score(
    network: nn.Module,
    images: np.ndarray,
    trimaps: np.ndarray,
    originals: Originals | Sequence[np.ndarray],
    batch_size: int,
    plan: Plan,
    loss: losses.Loss,
    temperature: float = 1.0,
    on_prediction: Callable[[int, np.ndarray], object] = lambda index, mask: None,
    on_batch: Callable[[int], object] = lambda images: None,
) -> Scored:
    """Scores a network on every image once, in order.

    Several threads process one whole batch each. On a CPU that is faster than batch after batch, where threads wait for
    each other in every layer. On a GPU some threads count pixels while it computes.

    Args:
        network: (B, 3, S, S) pixels in [0, 255] -> logits, (B, 1, S, S) or (B, 2, S, S). It is left in eval mode.
        images: (N, S, S, 3) uint8.
        trimaps: (N, S, S) uint8.
        originals: N trimaps at the size of the original images, (h, w) uint8 each.
        plan: where and how `network` is computed; it must be there already.
        temperature: of the network, see `petseg.evaluation.calibration`.
        on_prediction: called with the index of an image and its prediction at the original size, (h, w) bool; by
            several threads, in any order.
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
        predicted = (logits[:, 0] > 0).numpy()  # sigmoid(0) = 0.5
        areas = [regions.areas(*each) for each in zip(predicted, trimaps[first:], strict=False)]
        original_areas, outlines = [], []
        for index, one in enumerate(logits, first):
            trimap = originals[index]
            enlarged = F.interpolate(one[None], size=trimap.shape, mode="bilinear", align_corners=False)
            prediction = (enlarged[0, 0] > 0).numpy()
            original_areas.append(regions.areas(prediction, trimap))
            outlines.append(boundary.scores(prediction, foreground(trimap)))
            on_prediction(index, prediction)
        raw, calibrated = (Reliability.measure((logits / t).numpy(), mask[:, None].numpy()) for t in (1, temperature))
        per_image = (np.array(areas), np.array(original_areas), np.array(outlines))
        return Scored(predicted, *per_image, raw, calibrated, batch_loss)

    cores = torch.get_num_threads()
    threads = min(cores, _MAX_THREADS)
    batches = []
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(cores // threads,)) as pool:
        for batch in pool.map(score_batch, range(-(-len(images) // batch_size))):
            batches.append(batch)
            on_batch(len(batch.masks))
    return _join(batches)


def _join(batches: Sequence[Scored]) -> Scored:
    """Joins the scores of consecutive batches."""
    return Scored(
        masks=np.concatenate([batch.masks for batch in batches]),
        areas=np.concatenate([batch.areas for batch in batches]),
        original_areas=np.concatenate([batch.original_areas for batch in batches]),
        boundary=np.concatenate([batch.boundary for batch in batches]),
        raw=reduce(add, [batch.raw for batch in batches]),
        calibrated=reduce(add, [batch.calibrated for batch in batches]),
        loss=sum(batch.loss * len(batch.masks) for batch in batches) / sum(len(batch.masks) for batch in batches),
    )


def _check_finite(logits: Tensor, first: int) -> None:
    """Raises a PetsegError for the first image with a NaN or infinite logit; `first` is the number of logits[0]."""
    bad = (~logits.isfinite()).flatten(1).any(1).nonzero()
    if len(bad):
        raise PetsegError(
            f"A logit of image {first + bad[0].item()} of the split (from 0) is NaN or infinite; train the network "
            "again, with a lower lr or train.precision=fp32."
        )
