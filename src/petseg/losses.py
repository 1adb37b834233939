"""Losses on logits. Mathematics only: no files, no devices, no printing.

A loss is a function of sums over images, so that a batch may be shared out among processes or computed in parts: the
sums are added up, and the value is that of the whole batch.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from petseg.config.training import LossParams

_LEAST = torch.finfo(torch.float32).tiny  # gradients are float32, in which its inverse is still finite


@dataclass(frozen=True)
class Loss:
    """entropy * cross entropy + dice * soft Dice loss, of logits of pet (`petseg.models.pet_logit`).

    The cross entropy is the mean over all pixels of the batch: the binary one of a logit of pet, which is that of two
    classes if the logit is the difference of theirs.

    The soft Dice loss is 1 - (2 Σyp + smooth) / (Σy + Σp + smooth), p = sigmoid(logits) (Milletari et al., V-Net, 2016,
    with the sums of report A): over all pixels of the batch (`dice_over` batch: report A), or of each image, then the
    mean over images (report C). It lies in [0, 1]. Without smoothing it is 1 where there is no pet, whatever is
    predicted; with it, it falls to 0 as less is predicted.

    Attributes:
        smooth: pixels, >= 0.
    """

    entropy: float
    dice: float
    dice_over: Literal["batch", "image"] = "batch"
    smooth: float = 0.0

    def sums(self, logits: Tensor, truth: Tensor) -> Tensor:
        """What `of_sums` needs of these images; sums of disjoint parts of a batch add up to the batch's.

        Args:
            logits: (B, 1, H, W), float32 or float64.
            truth: the same shape and dtype, 0 background, 1 pet.

        Returns:
            (4,): Σ cross entropy and the number of pixels, then Σyp and Σy + Σp over the batch, or the sum of the
            images' soft Dice losses and their number; float64, so that the order of adding up does not show.
        """
        p = torch.sigmoid(logits)
        bce = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        bce, overlap, pets, predicted = (
            x.flatten(1).sum(1, dtype=torch.float64) for x in (bce, truth * p, truth, p)
        )  # (B,) each
        if self.dice_over == "batch":
            dice = overlap.sum(), (pets + predicted).sum()
        else:
            dice = self._soft_dice(overlap, pets + predicted).sum(), bce.new_full((), len(bce))
        return torch.stack([bce.sum(), bce.new_full((), logits.numel()), *dice])

    def of_sums(self, sums: Tensor) -> Tensor:
        """(4,) -> scalar >= 0."""
        bce, pixels, over, under = sums
        dice = self._soft_dice(over, under) if self.dice_over == "batch" else over / under
        return self.entropy * bce / pixels + self.dice * dice

    def __call__(self, logits: Tensor, truth: Tensor) -> Tensor:
        """The loss of a batch; arguments as of `sums`. NaN stays NaN."""
        return self.of_sums(self.sums(logits, truth))

    def _soft_dice(self, overlap: Tensor, total: Tensor) -> Tensor:
        return 1 - (2 * overlap + self.smooth) / (total + self.smooth).clamp_min(_LEAST)


def build(params: LossParams) -> Loss:
    """The loss that params.yaml asks for; of the two cross entropies at most one has a weight."""
    return Loss(params.bce + params.cross_entropy, params.dice, params.dice_over, params.smooth)
