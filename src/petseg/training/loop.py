"""The training of one network, from top to bottom: on a CPU, on a GPU, and on several."""

import math
from collections.abc import Callable
from itertools import islice

import numpy as np
import torch
from torch import Tensor, nn

from petseg import losses, optim
from petseg.batches.evaluation import batches_in_order
from petseg.batches.train import EpochSampler, TrainDataset, loader
from petseg.compute import Plan
from petseg.config.training import Training
from petseg.metrics import image_dice
from petseg.models import pet_logit
from petseg.models.weights import snapshot
from petseg.runtime.errors import PetsegError
from petseg.runtime.progress import Progress, WaitTimer
from petseg.training.distributed import World
from petseg.training.session import Checkpointer
from petseg.training.state import EpochRow, TrainingState
from petseg.training.step import forward_backward


def train(
    network: nn.Module,
    dataset: TrainDataset,
    valid: tuple[np.ndarray, np.ndarray],
    params: Training,
    plan: Plan,
    world: World,
    checkpointer: Checkpointer,
    on_epoch: Callable[[list[EpochRow]], None],
) -> TrainingState:
    """Trains `network` in place; returns the final state, which has the weights of the best epoch by `params.select`.

    Args:
        network: pixels (B, 3, H, W) in [0, 255] -> logits (B, 1, H, W) or (B, 2, H, W).
        dataset: the train split, augmented.
        valid: images (N, H, W, 3) and trimaps (N, H, W) of the validation split, uint8.
        world: the processes that train together; this one gets its share of each batch.
        checkpointer: resumes a training that was stopped, and saves checkpoints.
        on_epoch: called by the main process after every epoch with the history so far. Its rows have epoch (from 1),
            lr (of the first step), and for both splits loss, cross entropy, soft Dice loss and Dice.

    Raises:
        Interrupted: a signal arrived; a checkpoint was saved.
        PetsegError: the train split has fewer than 2 images; or a loss is not finite.
    """
    sampler = EpochSampler(len(dataset), params.batch_size, params.seed, params.epochs, world.rank, world.size)
    if not sampler.sizes:
        raise PetsegError("The train split has fewer than 2 images, too few to train on; see data/splits.csv.")

    plan.place(network)
    ema = optim.EMA(network, params.ema)
    model = plan.compile(world.wrap(network))
    optimizer = optim.build(network, params.optimizer, params.lr, params.encoder_lr)
    schedule = optim.Schedule(params.schedule, params.lr, params.epochs, len(sampler.sizes))
    loss = losses.build(params.loss)
    log = torch.zeros(len(sampler.sizes), 3, dtype=torch.float64, device=plan.device)

    state = TrainingState(network, optimizer, schedule, ema, log)
    resumed = checkpointer.resume(state)
    sampler.epoch, sampler.step = state.epoch, state.step
    batches = WaitTimer(loader(dataset, sampler, plan.workers, pin_memory=plan.device.type == "cuda"))
    with Progress(params.network, params.epochs * state.steps, state.steps_done, quiet=not world.is_main) as progress:
        if resumed:
            finished = state.is_finished(params.epochs, params.patience)
            progress.say("had already been trained" if finished else f"resumes from {state}")

        while not state.is_finished(params.epochs, params.patience):
            network.train()
            for images, masks in islice(batches, state.steps - state.step):
                state.seconds_waited = batches.seconds
                checkpointer.maybe_save(state)
                size = sampler.sizes[state.step]
                micro_batches = world.micro_batches(size, params.micro_batch)

                optim.set_lr(optimizer, schedule.lr(state.epoch, state.step), state.epoch < params.encoder_frozen)
                optimizer.zero_grad()
                log[state.step] = forward_backward(model, images, masks, micro_batches, loss, plan, world)
                if params.clip is not None:
                    nn.utils.clip_grad_norm_(network.parameters(), params.clip)
                optimizer.step()
                ema.update(state.steps_done)

                state.step, state.images = state.step + 1, state.images + size
                if progress.advance():
                    mean = loss.total(log[: state.step]).mean().item()
                    progress.show(figures(state, state.epoch + 1, params.epochs, mean))
            checkpointer.maybe_save(state)

            batch_size = params.micro_batch or params.batch_size
            row = {"epoch": state.epoch + 1, "lr": schedule.lr(state.epoch, 0)}
            row |= train_scores(log, sampler.sizes, loss)
            row |= validate(ema.network, valid, batch_size, loss, plan, world, lambda: checkpointer.maybe_save(state))
            check_finite(row, params.network)
            state.history.append(row)
            if is_better(row, state.best, params.select):
                state.best, state.best_weights = row, snapshot(ema.network)
            schedule.end_epoch(row["valid_loss"])
            state.epoch, state.step = state.epoch + 1, 0

            if world.is_main:
                on_epoch(state.history)
            pixels = [params.size_at(epoch) ** 2 for epoch in range(params.epochs)]
            minutes = state.seconds / sum(pixels[: state.epoch]) * sum(pixels[state.epoch :]) / 60
            shown = figures(state, state.epoch, params.epochs, row["train_loss"])
            progress.say(*shown[:3], f"{minutes:.1f} min left", *shown[3:])

        checkpointer.save(state)  # should a later part of the stage fail, the training need not be repeated
    return state


@torch.no_grad()
def validate(
    network: nn.Module,
    valid: tuple[np.ndarray, np.ndarray],
    batch_size: int,
    loss: losses.Loss,
    plan: Plan,
    world: World,
    before_batch: Callable[[], None] = lambda: None,
) -> EpochRow:
    """Scores the validation split in eval mode: `valid_loss`, `valid_cross_entropy`, `valid_soft_dice`, `valid_dice`.

    If some truths are empty, also `valid_dice_nonempty`, the mean Dice over the others.

    Losses are means over batches weighted by their images, Dice is the mean over images. Batches are distributed
    round-robin over the processes, so that each image counts once.

    Args:
        valid: images (N, H, W, 3) and trimaps (N, H, W), uint8.
        before_batch: called by all processes before each round of batches.
    """
    network.eval()
    sums = torch.zeros(5, dtype=torch.float64, device=plan.device)
    batches = batches_in_order(*valid, batch_size, first=world.rank, step=world.size)
    for _ in range(0, len(valid[0]), batch_size * world.size):
        before_batch()
        for images, masks in islice(batches, 1):  # none if the last round has none for this process
            pixels, truth = plan.inputs(images, masks)
            with plan.autocast():
                logits = pet_logit(network(pixels).float())
            sums[:2] += loss.components(loss.sums(logits, truth)) * len(images)
            dice, has_pet = image_dice(logits, truth), truth.flatten(1).any(1)
            sums[2:] += torch.stack([dice.sum(), dice[has_pet].sum(), has_pet.sum()])
    *means, nonempty_dice, nonempty = world.sum(sums)
    row = named_scores("valid", torch.stack(means) / len(valid[0]), loss)
    if 0 < nonempty < len(valid[0]):
        row["valid_dice_nonempty"] = (nonempty_dice / nonempty).item()
    return row


def train_scores(log: Tensor, sizes: list[int], loss: losses.Loss) -> EpochRow:
    """Scores of an epoch as `validate` returns them, from its log, (steps, 3), and the sizes of its batches."""
    weights = torch.tensor(sizes, dtype=torch.float64, device=log.device)
    components = weights @ log[:, :2]
    return named_scores("train", torch.cat([components, log[:, 2:].sum(0)]) / sum(sizes), loss)


def named_scores(split: str, means: Tensor, loss: losses.Loss) -> EpochRow:
    """Names for cross entropy, soft Dice loss and Dice, (3,), with the loss that they give."""
    names = (f"{split}_{score}" for score in ("loss", "cross_entropy", "soft_dice", "dice"))
    return dict(zip(names, [loss.total(means).item(), *means.tolist()], strict=True))


def check_finite(row: EpochRow, name: str) -> None:
    """Raises PetsegError if a loss of an epoch is NaN or infinite."""
    for key in ("train_loss", "valid_loss"):
        if not math.isfinite(row[key]):
            where = f"epoch {row['epoch']}, at learning rate {row['lr']:.3g}"
            raise PetsegError(f"{name}: {key} is {row[key]} in {where}; try a lower lr.")


def is_better(row: EpochRow, best: EpochRow, select: str) -> bool:
    """Whether an epoch is better than the best so far (empty: none yet) by `valid_dice` or `valid_loss`.

    Images without a pet do not count for `valid_dice`: a network that predicts nothing would be right on them.
    """
    if not best:
        return True
    if select == "valid_loss":
        return row[select] < best[select]
    key = "valid_dice_nonempty" if "valid_dice_nonempty" in row else "valid_dice"
    return row[key] > best[key]


def figures(state: TrainingState, epoch: int, epochs: int, loss: float) -> list[str]:
    """What to show of a training, the most important first: the last valid Dice, that of the best epoch, the loss."""
    shown = [f"epoch {epoch}/{epochs}"]
    if state.history:
        last, best = state.history[-1]["valid_dice"], state.best["valid_dice"]
        shown += [f"valid Dice {last:.4f}", f"best {best:.4f}"]
    return [*shown, f"loss {loss:.3f}", f"{state.images_per_second:.0f} images/s"]
