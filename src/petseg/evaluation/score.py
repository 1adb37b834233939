"""Networks' answers for the test split, and their scores image by image."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from petseg import metrics, models
from petseg.batches.evaluation import batches_in_order
from petseg.compute import Plan
from petseg.runtime import machine
from petseg.runtime.errors import PetsegError


class Scored(NamedTuple):
    """One network on N images of S x S pixels."""

    masks: np.ndarray  # (N, S, S) bool, the prediction at threshold 0.5
    scores: dict[str, np.ndarray]  # dice, iou, precision, recall, dice_original: (N,) float64 each


_AT_ONCE = 4  # batches on a CPU; without gradients they need about as much memory as one needs in training


def score(
    network: nn.Module,
    images: np.ndarray,
    trimaps: np.ndarray,
    original: Callable[[int], np.ndarray],
    batch_size: int,
    plan: Plan,
    on_batch: Callable[[int], None] = lambda images: None,
) -> Scored:
    """Predicts and scores every image once, in order.

    Args:
        network: in any mode; it is left in eval mode. (B, 3, S, S) pixels in [0, 255] -> logits,
            (B, 1, S, S) or (B, 2, S, S).
        images: (N, S, S, 3) uint8.
        trimaps: (N, S, S) uint8, resized as the images.
        original: gives the truth of image i at its original size, (h, w) bool; called from several threads.
        batch_size: images in a batch; on a CPU several batches are computed at once.
        plan: where and how `network` is computed.
        on_batch: called with the number of images after each batch.

    Raises:
        PetsegError: a logit is NaN, which would count as background, or infinite, which enlarges to NaN.
    """
    network.eval()
    alone = _computes_alone(plan.device)
    cores = machine.cores() if alone else torch.get_num_threads()
    threads = cores if alone else min(cores, _AT_ONCE)
    masks, scores, pending = [], [], deque()
    count = partial(_count, original=original)

    def logits_of(number: int) -> tuple[Tensor, Tensor]:
        image, mask = next(batches_in_order(images, trimaps, batch_size, first=number))
        return _logits(network, image, mask, plan), mask

    def both(number: int) -> tuple[Tensor, Tensor]:
        return count(*logits_of(number), number * batch_size)

    def collect(ahead: int) -> None:
        while len(pending) > ahead:
            predicted, columns = pending.popleft().result()
            masks.append(predicted.numpy())
            scores.append(columns)
            on_batch(len(predicted))

    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(cores // threads,)) as pool:
        for number in range(-(-len(images) // batch_size)):
            task = (count, *logits_of(number), number * batch_size) if alone else (both, number)
            pending.append(pool.submit(*task))
            collect(ahead=2 * threads)
        collect(ahead=0)
    names = ("dice", "iou", "precision", "recall", "dice_original")
    return Scored(np.concatenate(masks), dict(zip(names, torch.cat(scores, dim=1).numpy(), strict=True)))


def _computes_alone(device: torch.device) -> bool:
    """Whether one thread computes the network and the others only count, as for a GPU, which it keeps busy meanwhile.

    A CPU's threads take whole batches, network and all: they seldom wait for each other, and torch's own would in each
    of a network's many layers.
    """
    return device.type != "cpu"


def _count(logits: Tensor, mask: Tensor, first: int, original: Callable[[int], np.ndarray]) -> tuple[Tensor, Tensor]:
    """Predictions (B, S, S) bool and five scores (5, B) of a batch, on the CPU.

    Args:
        logits: (B, 1, S, S), on any device; they are waited for.
        mask: (B, S, S) bool.
        first: the number of the first image in the split.
    """
    logits = logits.cpu()
    _check_finite(logits, first)
    predicted = logits.squeeze(1) > 0  # sigmoid(0) = 0.5
    counts = metrics.count(predicted, mask)
    columns = [score(counts) for score in (metrics.dice, metrics.iou, metrics.precision, metrics.recall)]
    enlarged = [_count_at_size(one, original(i)) for i, one in enumerate(logits, first)]
    columns.append(metrics.dice(metrics.Counts(*torch.tensor(enlarged).T)))
    return predicted, torch.stack(columns)


@torch.inference_mode()
def _logits(network: nn.Module, image: Tensor, mask: Tensor, plan: Plan) -> Tensor:
    """Logits of pet, (B, 1, S, S) float32 on the device, of a batch as `batches_in_order` gives it."""
    pixels, _ = plan.inputs(image, mask)
    with plan.autocast():
        return models.pet_logit(network(pixels).float())


def _check_finite(logits: Tensor, first: int) -> None:
    """Refuses logits (B, 1, S, S) of images `first` and on of which one is NaN or infinite; names the first such."""
    bad = (~logits.isfinite()).flatten(1).any(1).nonzero()
    if len(bad):
        image = first + bad[0].item()
        raise PetsegError(
            f"A logit of image {image} of the split (from 0) is NaN or infinite: the weights are of no use, or the "
            "precision is too low; train the network again, at a lower lr or at precision fp32."
        )


@torch.inference_mode()
def _count_at_size(logits: Tensor, truth: np.ndarray) -> tuple[int, int, int]:
    """tp, fp and fn at an image's original size: logits (1, S, S), enlarged bilinearly, against truth (h, w) bool.

    On one image numpy compares and counts in a third of the time that torch and `metrics.count` take.
    """
    enlarged = F.interpolate(logits[None], size=truth.shape, mode="bilinear", align_corners=False)
    predicted = enlarged[0, 0].numpy() > 0
    tp = np.count_nonzero(predicted & truth)
    return tp, np.count_nonzero(predicted) - tp, np.count_nonzero(truth) - tp
