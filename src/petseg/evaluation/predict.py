"""Networks' answers for the test split, and their scores image by image."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from petseg import machine, metrics, models
from petseg.data.ordered import foreground, in_order
from petseg.errors import PetsegError
from petseg.plan import Plan


class Scored(NamedTuple):
    """One network on N images of S x S pixels."""

    masks: np.ndarray  # (N, S, S) bool, the prediction at threshold 0.5
    scores: dict[str, np.ndarray]  # dice, iou, precision, recall, dice_original: (N,) float64 each


@torch.inference_mode()
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
        original: gives the trimap of image i at its original size, (h, w) uint8; called from several threads.
        batch_size: images at once.
        plan: where and how `network` is computed.
        on_batch: called with the number of images after each batch.

    Raises:
        PetsegError: a logit is NaN, which would count as background, or infinite, which enlarges to NaN.
    """
    network.eval()
    masks, scores = [], []
    indices = iter(range(len(images)))
    with ThreadPoolExecutor(machine.cores()) as pool:
        for image, mask in in_order(images, trimaps, batch_size):
            pixels, _ = plan.inputs(image, mask)
            with plan.autocast():
                logits = models.pet_logit(network(pixels).float()).cpu()  # (B, 1, S, S)
            predicted = logits.squeeze(1) > 0  # sigmoid(0) = 0.5
            counts = metrics.count(predicted, mask)
            batch = list(islice(indices, len(image)))
            _check_finite(logits, batch, type(network).__name__)
            dice_original = list(pool.map(lambda i, one: _dice_at_size(one, original(i)), batch, logits))
            columns = [score(counts) for score in (metrics.dice, metrics.iou, metrics.precision, metrics.recall)]
            scores.append(torch.stack([*columns, torch.tensor(dice_original, dtype=torch.float64)]))
            masks.append(predicted.numpy())
            on_batch(len(image))
    names = ("dice", "iou", "precision", "recall", "dice_original")
    return Scored(np.concatenate(masks), dict(zip(names, torch.cat(scores, dim=1).numpy(), strict=True)))


def _check_finite(logits: Tensor, images: list[int], network: str) -> None:
    """Refuses logits (B, 1, S, S) of which one is NaN or infinite; names the first such image."""
    bad = (~logits.isfinite()).flatten(1).any(1).nonzero()
    if len(bad):
        image = images[bad[0].item()]
        raise PetsegError(
            f"{network}: a logit of image {image} of the split (from 0) is NaN or infinite: its weights are of no use "
            "or its precision is too low; train it again, at a lower lr or at precision fp32."
        )


def _dice_at_size(logits: Tensor, trimap: np.ndarray) -> float:
    """Dice of one image at its original size: logits (1, S, S), enlarged bilinearly, against the trimap (h, w)."""
    enlarged = F.interpolate(logits[None], size=trimap.shape, mode="bilinear", align_corners=False)[:, 0]
    return metrics.dice(metrics.count(enlarged > 0, torch.from_numpy(foreground(trimap))[None])).item()
