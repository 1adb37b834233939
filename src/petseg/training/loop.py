"""The training of one network, from top to bottom: on a CPU, on a GPU, and on many."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn

from petseg import losses, optim
from petseg.batches.evaluation import Arrays, in_order
from petseg.batches.on_device import hold, train_batches
from petseg.batches.train import EpochOrder, Samples
from petseg.compute import Plan
from petseg.config.training import Training
from petseg.models import pet_logit
from petseg.models.weights import snapshot
from petseg.runtime.errors import PetsegError
from petseg.runtime.progress import Progress
from petseg.training.distributed import Team
from petseg.training.session import Keeper
from petseg.training.state import Row, State
from petseg.training.step import Step, image_dice


@dataclass
class Result:
    """What a training leaves: the best weights, a row an epoch, and how fast it went."""

    state: dict[str, Tensor]
    best: Row
    history: list[Row]
    started: str  # when this process began, ISO 8601, UTC
    seconds: float  # that the training took, with those of stopped processes before
    images_per_second: float  # trained on, the time for validation included
    waited: float  # share of the time in which this process waited for data

    def scores(self) -> dict[str, float]:
        """The best row but for its learning rate, rounded for people."""
        return {key: round(value, 6) for key, value in self.best.items() if key != "lr"}

    def run(self) -> dict[str, str | float]:
        """When and how fast, rounded for people."""
        return {
            "started": self.started,
            "seconds": round(self.seconds, 1),
            "images_per_second": round(self.images_per_second, 1),
            "waited_for_data": round(self.waited, 4),
        }


def train(
    network: nn.Module,
    samples: Samples,
    valid: tuple[np.ndarray, np.ndarray],
    params: Training,
    plan: Plan,
    keeper: Keeper,
    on_epoch: Callable[[list[Row]], None],
) -> Result:
    """Trains `network` in place and returns the weights of its best epoch by `params.select` (the first of equals).

    Args:
        network: (B, 3, H, W) pixels in [0, 255] -> (B, 1, H, W) logits.
        samples: the train split, augmented.
        valid: images (N, H, W, 3) and trimaps (N, H, W) of the valid split, uint8.
        params: epochs, batch size, learning rate and so on.
        plan: device, precision, memory format, workers.
        keeper: what the training goes on from, if it was stopped before, and the team of processes that train.
        on_epoch: called by rank 0 after every epoch with the history so far; its rows hold epoch (from 1), lr,
            train_loss, valid_loss, train_dice and valid_dice; lr is that of its first step.

    Raises:
        Interrupted: a signal came; a checkpoint was written.
        PetsegError: the train split has fewer than 2 images; or the loss of a step or of the valid split is not finite,
            with the epoch, step and learning rate.
    """
    team = keeper.team
    order = EpochOrder(len(samples), params.batch_size, samples.seed, team.share, params.epochs)
    if len(order) == 0:
        raise PetsegError("The train split has fewer than 2 images, too few to train on; look at data/splits.csv.")
    average = optim.Average(plan.place(network), params.ema)
    forward = team.wrap(network)
    forward = torch.compile(forward, dynamic=False) if plan.compiled else forward
    optimizer = optim.build(network, params.optimizer, params.lr)
    schedule = optim.Schedule(params.schedule, params.lr, params.epochs, len(order))
    loss_of = losses.build(params.loss)
    take_step = Step(forward, optimizer, loss_of, params.clip, plan, team)
    state = State(network, optimizer, schedule, average, len(order), plan.device)
    resumed = keeper.resume(state)
    sizes = order.sizes
    order.epoch, order.step = state.epoch, state.step
    prepared, make = train_batches(samples, order, plan.device, plan.workers)
    valid = hold(*valid, plan.device)
    progress = Progress(params.network, params.epochs, state, quiet=not team.leads)
    prepared = progress.waiting_for(prepared)
    if resumed:
        ended = state.ends(params.epochs, params.patience)
        progress.say("was trained to its end before" if ended else f"goes on from {state}")
    between_steps = partial(keeper.between_steps, state, progress)
    while not state.ends(params.epochs, params.patience):
        network.train()
        for batch in islice(prepared, len(order) - state.step):
            between_steps()
            images, masks = make(batch)  # on the device, if it has room for the split
            size, lr = sizes[state.step], schedule.lr(state.epoch, state.step)
            optim.set_lr(optimizer, lr)
            pixels, truth = plan.inputs(images, masks)  # (B, 3, H, W), 0 to 255, and (B, 1, H, W), 0 or 1
            loss, dice = take_step(pixels, truth, team.parts(size, params.parts(size)))
            average.update(state.done)
            state.losses[state.step], state.dices[state.step] = loss, dice  # looking at them would wait for the device
            state.step, state.images = state.step + 1, state.images + size
            if progress.step():
                check_finite(state.losses[: state.step], params.network, state.epoch, lr)
                progress.show(state.epoch + 1, state.losses[: state.step].mean().item())
        between_steps()
        lr = schedule.lr(state.epoch, 0)
        check_finite(state.losses, params.network, state.epoch, lr)
        at_once = params.micro_batch or params.batch_size
        train_loss, train_dice = means_of_epoch(state, sizes, team)
        valid_loss, valid_dice = evaluate(average.network, valid, at_once, loss_of, plan, team, between_steps)
        if not math.isfinite(valid_loss):
            where = f"after epoch {state.epoch + 1}"
            raise PetsegError(not_finite(params.network, "valid loss", valid_loss, where, lr))
        row = {"epoch": state.epoch + 1, "lr": lr, "train_loss": train_loss, "valid_loss": valid_loss}
        row |= {"train_dice": train_dice, "valid_dice": valid_dice}
        state.history.append(row)
        if is_better(row, state.best, params.select):
            state.best, state.best_weights = row, snapshot(average.network)
        if team.leads:
            on_epoch(state.history)
        progress.epoch(row)
        schedule.end_epoch(valid_loss)
        state.epoch, state.step = state.epoch + 1, 0
    keeper.save(state, progress)  # should what follows not end well, nothing is to be trained again
    progress.close()
    rate = state.images / progress.seconds
    waited = progress.waited / progress.own_seconds
    return Result(state.best_weights, state.best, state.history, progress.started, progress.seconds, rate, waited)


def is_better(row: Row, best: Row, select: str) -> bool:
    """Whether an epoch is better than the best so far ({}: there is none) by `valid_dice` or `valid_loss`."""
    if not best:
        return True
    return row[select] > best[select] if select == "valid_dice" else row[select] < best[select]


def means_of_epoch(state: State, sizes: list[int], team: Team) -> tuple[float, float]:
    """Loss and Dice of the epoch whose steps are all done, as means over the images of all processes.

    Args:
        sizes: (steps,) images in each step, all processes together.
    """
    weights = torch.tensor(sizes, dtype=torch.float64)
    loss = (state.losses.cpu() * weights).sum().item() / sum(sizes)
    return loss, team.sum(state.dices).sum().item() / sum(sizes)


@torch.no_grad()
def evaluate(
    network: nn.Module,
    valid: Arrays,
    batch_size: int,
    loss_of: losses.Loss,
    plan: Plan,
    team: Team,
    between_steps: Callable[[], None] = lambda: None,
) -> tuple[float, float]:
    """Mean loss over batches, weighted by their images, and mean Dice over images, in eval mode without augmentation.

    The processes of a team take turns with the batches, so that each image counts once.

    Args:
        valid: images (N, H, W, 3) and trimaps (N, H, W), uint8, as `in_order` takes them.
        between_steps: called by all processes before each batch.
    """
    network.eval()
    sums = torch.zeros(2, dtype=torch.float64, device=plan.device)
    batches = in_order(valid, batch_size, first=team.rank, every=team.size)
    for _ in range(0, len(valid[0]), batch_size * team.size):
        between_steps()
        for image, mask in islice(batches, 1):  # none where the last turn does not reach all processes
            pixels, truth = plan.inputs(image, mask)
            with plan.autocast():
                logits = pet_logit(network(pixels).float())
            sums[0] += loss_of(logits, truth) * len(image)
            sums[1] += image_dice(logits, truth > 0).sum()
    loss, dice = (team.sum(sums) / len(valid[0])).tolist()
    return loss, dice


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
