"""Losses on logits.

A loss is a function of sums over images, so that the loss of a batch that is distributed among processes is exact: the
sums are added up before the loss is computed from them.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from petseg.config.training import LossParams

_TINY = torch.finfo(torch.float32).tiny  # gradients are float32, where its inverse is still finite


@dataclass(frozen=True)
class Loss:
    """A weighted sum of cross entropy and soft Dice loss, of logits for pet (`petseg.models.pet_logit`).

    Cross entropy is the mean over all pixels of the batch. For a single logit it is binary; with the difference of two
    logits it equals the cross entropy of two classes.

    The soft Dice loss is 1 - (2 Σyp + smooth) / (Σy + Σp + smooth) with p = sigmoid(logits) (Milletari et al., V-Net,
    2016, with the sums of report A). With `dice_over="batch"` the sums run over all pixels of the batch (report A),
    with `"image"` over each image, and the losses are averaged (report C). It lies in [0, 1]. For an empty truth it is
    1 without smoothing, and falls to 0 with the prediction otherwise.

    Attributes:
        entropy, dice: weights of the two components.
        smooth: pixels, >= 0.
    """

    entropy: float
    dice: float
    dice_over: Literal["batch", "image"] = "batch"
    smooth: float = 0.0

    def sums(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Sums over images from which `components` follows; the sums of disjoint parts of a batch may be added.

        Args:
            logits: (B, 1, H, W), float32 or float64.
            truth: same shape and dtype, 0 for background, 1 for pet.

        Returns:
            (4,) float64: total cross entropy, number of pixels; then Σyp and Σy + Σp (`batch`), or the total of the
            soft Dice losses and the number of images (`image`).
        """
        p = torch.sigmoid(logits)
        entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        entropy, overlap, pets, predicted = (
            x.flatten(1).sum(1, dtype=torch.float64) for x in (entropy, truth * p, truth, p)
        )  # (B,) each
        if self.dice_over == "batch":
            dice = overlap.sum(), (pets + predicted).sum()
        else:
            dice = self._soft_dice(overlap, pets + predicted).sum(), entropy.new_tensor(len(entropy))
        return torch.stack([entropy.sum(), entropy.new_tensor(logits.numel()), *dice])

    def components(self, sums: Tensor) -> Tensor:
        """(4,) sums -> (2,): cross entropy and soft Dice loss, not weighted."""
        entropy, pixels, numerator, denominator = sums
        if self.dice_over == "batch":
            return torch.stack([entropy / pixels, self._soft_dice(numerator, denominator)])
        return torch.stack([entropy / pixels, numerator / denominator])

    def total(self, components: Tensor) -> Tensor:
        """(..., 2) components -> (...) loss, >= 0."""
        return self.entropy * components[..., 0] + self.dice * components[..., 1]

    def __call__(self, logits: Tensor, truth: Tensor) -> Tensor:
        """The loss of a batch, a scalar; arguments as in `sums`. NaN stays NaN."""
        return self.total(self.components(self.sums(logits, truth)))

    def _soft_dice(self, overlap: Tensor, total: Tensor) -> Tensor:
        return 1 - (2 * overlap + self.smooth) / (total + self.smooth).clamp_min(_TINY)


def build(params: LossParams) -> Loss:
    """The loss of params.yaml; at most one of its two cross entropies has a weight."""
    return Loss(params.bce + params.cross_entropy, params.dice, params.dice_over, params.smooth)
