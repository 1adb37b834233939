"""Report A's training of one network, from top to bottom."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from petseg import metrics, optim
from petseg.data.batches import Samples, in_order, train_loader
from petseg.errors import PetsegError
from petseg.losses import bce_dice_loss
from petseg.params import Training
from petseg.training.progress import Progress
from petseg.training.weights import snapshot, to_device

Row = dict[str, float]


@dataclass
class Result:
    """What a training leaves: the best weights, a row an epoch, and how fast it went."""

    state: dict[str, Tensor] = field(default_factory=dict)
    best: Row = field(default_factory=dict)
    history: list[Row] = field(default_factory=list)
    seconds: float = 0.0
    images_per_second: float = 0.0  # trained on, the time for validation included


def train(
    network: nn.Module,
    samples: Samples,
    valid: tuple[np.ndarray, np.ndarray],
    params: Training,
    device: torch.device,
    workers: int,
    on_epoch: Callable[[list[Row]], None],
) -> Result:
    """Trains `network` in place and returns the weights of its best epoch by valid Dice (the first of equals).

    Args:
        network: (B, 3, H, W) pixels in [0, 255] -> (B, 1, H, W) logits.
        samples: the train split, augmented.
        valid: images (N, H, W, 3) and trimaps (N, H, W) of the valid split, uint8.
        params: epochs, batch size and learning rate.
        device: to train on.
        workers: processes that prepare batches, 0 for none.
        on_epoch: called after every epoch with the history so far; its rows hold epoch (from 1), lr, train_loss,
            valid_loss, train_dice and valid_dice.

    Raises:
        PetsegError: the loss of a step or of the valid split is not finite; with the epoch, step and learning rate.
    """
    network = to_device(network, device)
    optimizer, schedule = optim.build(network, params.lr, params.epochs)
    loader = train_loader(samples, params.batch_size, workers, pin=device.type == "cuda")
    if len(loader) == 0:
        raise PetsegError("The train split has fewer than 2 images, too few to train on; look at data/splits.csv.")
    progress = Progress(params.network, params.epochs, len(loader))
    result = Result()
    for epoch in range(params.epochs):
        lr = optimizer.param_groups[0]["lr"]
        loader.batch_sampler.epoch = epoch
        network.train()
        losses, sizes, dices = torch.full((len(loader),), torch.nan, device=device), [], []
        for step, (images, masks) in enumerate(loader):
            images = images.to(device, non_blocking=True).float()  # (B, 3, H, W), 0 to 255
            truth = masks.to(device, non_blocking=True).float()  # (B, 1, H, W), 0 or 1
            logits = network(images.contiguous(memory_format=torch.channels_last))
            loss = bce_dice_loss(logits, truth)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses[step] = loss.detach()  # stays on the device: looking at it would wait for the step
            sizes.append(len(images))
            dices.append(image_dice(logits.detach(), truth > 0))
            if progress.step(len(images)):
                check_finite(losses[: step + 1], params.network, epoch, lr)
                progress.show(epoch + 1, losses[: step + 1].mean().item(), torch.cat(dices).mean().item())
        check_finite(losses, params.network, epoch, lr)
        schedule.step()
        valid_loss, valid_dice = evaluate(network, *valid, params.batch_size, device)
        if not math.isfinite(valid_loss):
            raise PetsegError(not_finite(params.network, "valid loss", valid_loss, f"after epoch {epoch + 1}", lr))
        train_loss = (losses.cpu() * torch.tensor(sizes)).sum().item() / sum(sizes)  # over images, as on valid
        row = {"epoch": epoch + 1, "lr": lr, "train_loss": train_loss, "valid_loss": valid_loss}
        row |= {"train_dice": torch.cat(dices).mean().item(), "valid_dice": valid_dice}
        result.history.append(row)
        if not result.best or valid_dice > result.best["valid_dice"]:
            result.best, result.state = row, snapshot(network)
        on_epoch(result.history)
        progress.epoch(row)
    progress.close()
    result.seconds, result.images_per_second = progress.seconds, progress.images / progress.seconds
    return result


@torch.no_grad()
def evaluate(
    network: nn.Module, images: np.ndarray, trimaps: np.ndarray, batch_size: int, device: torch.device
) -> tuple[float, float]:
    """Mean loss over batches, weighted by their images, and mean Dice over images, in eval mode without augmentation.

    Args:
        images: (N, H, W, 3) uint8.
        trimaps: (N, H, W) uint8.
    """
    network.eval()
    losses, dices = [], []
    for image, mask in in_order(images, trimaps, batch_size):
        truth = mask.to(device)
        logits = network(image.to(device).float().contiguous(memory_format=torch.channels_last))
        losses.append(bce_dice_loss(logits, truth.float()) * len(image))
        dices.append(image_dice(logits, truth))
    return torch.stack(losses).sum().item() / len(images), torch.cat(dices).mean().item()


def image_dice(logits: Tensor, truth: Tensor) -> Tensor:
    """Dice of each image at threshold 0.5 (logit 0), (B,) float64.

    Args:
        logits: (B, 1, H, W).
        truth: (B, 1, H, W) bool.
    """
    return metrics.dice(metrics.count(logits.squeeze(1) > 0, truth.squeeze(1)))


def check_finite(losses: Tensor, name: str, epoch: int, lr: float) -> None:
    """Stops a training that has gone wrong.

    Args:
        losses: (steps,) of one epoch so far.
        epoch: from 0.

    Raises:
        PetsegError: one of them is NaN or infinite.
    """
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        step = bad[0].item()
        where = f"in epoch {epoch + 1}, step {step + 1}"
        raise PetsegError(not_finite(name, "loss", losses[step].item(), where, lr))


def not_finite(name: str, what: str, value: float, where: str, lr: float) -> str:
    """The sentence for a loss that is NaN or infinite."""
    return f"{name}: the {what} is {value} {where}, at learning rate {lr:.3g}; try a lower lr."
