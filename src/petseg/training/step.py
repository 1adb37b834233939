"""One step of training: a batch in, the weights changed."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from petseg import metrics
from petseg.compute import Plan
from petseg.losses import Loss
from petseg.models import pet_logit
from petseg.training.distributed import Team


@dataclass(frozen=True)
class Step:
    """Changes the weights by the gradient of the whole batch's loss, however the batch is divided.

    Among processes: each has a share of the batch. The loss is computed from sums over the images of all; each process
    takes its gradient through its own images, and the gradients are added up.

    Into parts, for less memory: a first pass without gradients finds the sums of the whole batch, a second one takes
    the gradient part by part. That costs one more forward pass, since soft Dice of a batch is no sum over its parts.
    Gradients are those of the undivided batch but for rounding, except that batch norm sees one part at a time.

    Attributes:
        forward: the network, or what wraps it; pixels (B, 3, H, W) -> logits (B, 1, H, W) or (B, 2, H, W).
        clip: the norm that the gradient of all weights together is shortened to where it is longer; None: never.
    """

    forward: nn.Module
    optimizer: Optimizer
    loss: Loss
    clip: float | None
    plan: Plan
    team: Team

    def __call__(self, pixels: Tensor, truth: Tensor, parts: list[slice]) -> tuple[Tensor, Tensor]:
        """Does one step.

        Args:
            pixels: (B, 3, H, W) in [0, 255], this process's images, as `Plan.inputs` gives them.
            truth: (B, 1, H, W), 0 or 1.
            parts: of these images, as `Team.parts` gives them; as many in every process.

        Returns:
            The loss of the whole batch, and the sum of Dice over this process's images, float64; both on the device, so
            that nobody waits for them.
        """
        chunks = [(pixels[part], truth[part]) for part in parts]
        rest = self._sums(chunks) if len(chunks) > 1 else None
        self.optimizer.zero_grad(set_to_none=True)
        dices = []
        for i, (x, y) in enumerate(chunks):
            last = i == len(chunks) - 1
            with nullcontext() if last or self.team.size == 1 else self.forward.no_sync():
                with self.plan.autocast():
                    logits = pet_logit(self.forward(x).float())
                sums = self.loss.sums(logits, y)
                if rest is not None:
                    sums = sums + (rest - sums.detach())  # the value of the whole batch, the gradient of this part
                loss = self.loss.of_sums(self.team.sum(sums))
                (loss * self.team.size).backward()  # between processes gradients are averaged: this makes it their sum
            dices.append(image_dice(logits.detach(), y > 0).sum())
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.forward.parameters(), self.clip)
        self.optimizer.step()
        return loss.detach(), torch.stack(dices).sum()

    @torch.no_grad()
    def _sums(self, chunks: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Sums of the loss over all parts of this process's images."""
        sums = []
        with _frozen_statistics(self.forward), self.plan.autocast():
            for x, y in chunks:
                sums.append(self.loss.sums(pet_logit(self.forward(x).float()), y))
        return torch.stack(sums).sum(0)


@contextmanager
def _frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Batch norm still takes a batch's own statistics, but does not remember them."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def image_dice(logits: Tensor, truth: Tensor) -> Tensor:
    """Dice of each image at threshold 0.5 (logit 0), (B,) float64.

    Args:
        logits: (B, 1, H, W).
        truth: (B, 1, H, W) bool.
    """
    return metrics.dice(metrics.count(logits.squeeze(1) > 0, truth.squeeze(1)))
