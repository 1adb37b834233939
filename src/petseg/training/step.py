"""Forward and backward pass of one batch."""

import torch
from torch import Tensor, nn

from petseg.compute import Plan
from petseg.losses import Loss
from petseg.metrics import image_dice
from petseg.models import pet_logit
from petseg.training.distributed import World


def forward_backward(
    model: nn.Module,
    images: Tensor,
    masks: Tensor,
    micro_batches: list[tuple[slice, float]],
    loss: Loss,
    plan: Plan,
    world: World,
) -> Tensor:
    """Accumulates the gradients of one batch over its micro-batches, each loss weighted by its share of the images.

    With several processes, each loss is computed from sums over the images of all. Every process backpropagates through
    its own images, and the gradients are summed.

    Args:
        model: pixels (B, 3, H, W) -> logits (B, 1, H, W) or (B, 2, H, W); wrapped by `World.wrap`.
        images: (B, H, W, 3) uint8, this process's part of the batch.
        masks: (B, H, W) bool.
        micro_batches: as `World.micro_batches` returns them.

    Returns:
        (3,) float64 on the device: cross entropy and soft Dice loss of the batch, sum of Dice over its images.
    """
    log = torch.zeros(3, dtype=torch.float64, device=plan.device)
    for number, (part, share) in enumerate(micro_batches, start=1):
        pixels, truth = plan.inputs(images[part], masks[part])
        with world.accumulate(model, last=number == len(micro_batches)):
            with plan.autocast():
                logits = pet_logit(model(pixels).float())
            dice = image_dice(logits.detach(), truth).sum()
            sums = world.sum(torch.cat([loss.sums(logits, truth), dice[None]]))
            components = loss.components(sums[:4])
            # Gradients are averaged over the processes; the factor turns this into their sum.
            (loss.total(components) * share * world.size).backward()
        log += torch.cat([components.detach() * share, sums[4:].detach()])
    return log
