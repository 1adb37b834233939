"""Tiny trainings."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from petseg import models
from petseg.batches.train import TrainDataset
from petseg.compute import Plan
from petseg.config import params
from petseg.models import weights
from petseg.runtime.checkpoints import Checkpoints
from petseg.runtime.signals import Interrupted, Watch
from petseg.training import loop, seeding
from petseg.training.distributed import World
from petseg.training.session import Checkpointer
from support.paths import COMMITTED

PLAN = Plan(torch.device("cpu"), "fp32", channels_last=False, compiled=False, workers=0)


def settings(recipe=None, **overrides):
    values = {"epochs": 3, "batch_size": 4, "lr": 3e-3, "unet.width": 4, "resnet34_unet.width": 4} | overrides
    return params.load(COMMITTED, recipe, [f"{key}={value}" for key, value in values.items()])


def squares(n, seed=0):
    """Gray noise with a bright square, which is the pet; images and trimaps."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 120, (n, 64, 64, 3), np.uint8)
    trimaps = np.full((n, 64, 64), 2, np.uint8)
    for image, trimap in zip(images, trimaps, strict=True):
        y, x = rng.integers(4, 28, 2)
        image[y : y + 32, x : x + 32] += 110
        trimap[y : y + 32, x : x + 32] = 1
        trimap[y, x : x + 32] = 3
    return images, trimaps


def checkpointer(folder=None, seconds=1e9, watch=None, world=None):
    """Without a folder, one that never saves."""
    store = Checkpoints(folder or "unused", seconds)
    if folder is None:
        store.save = lambda state: None
    return Checkpointer(store, watch or Watch(), world or World())


class StopAt:
    """A watch that notices a signal when it is asked for the n-th time."""

    def __init__(self, n):
        self._left = n

    @property
    def signal(self):
        self._left -= 1
        return 15 if self._left <= 0 else None

    def saving(self):
        return nullcontext()


def run(
    name="unet",
    policy="a",
    train=None,
    valid=None,
    plan=PLAN,
    checkpoints=None,
    world=None,
    on_epoch=lambda rows: None,
    **overrides,
):
    """Trains on 10 images with 5 to validate; returns the result and the network."""
    p = settings(**overrides)
    training = p.training(name)
    seeding.seed_everything(training.seed)
    network = models.build(name, p)
    sizes = [training.size_at(epoch) for epoch in range(training.epochs)]
    dataset = TrainDataset(*(train or squares(10)), policy, training.seed, training.cutmix, sizes)
    valid = valid or squares(5, seed=1)
    world = world or World()
    checkpoints = checkpoints or checkpointer(world=world)
    return loop.train(network, dataset, valid, training, plan, world, checkpoints, on_epoch), network


def stop_and_resume(folder, at, name="unet", **how):
    """The result of a training that is stopped when it looks for a signal for the `at`-th time, and resumed."""
    with pytest.raises(Interrupted, match="SIGTERM"):
        run(name, checkpoints=checkpointer(folder / "kept", watch=StopAt(at)), **how)
    return run(name, checkpoints=checkpointer(folder / "kept"), **how)[0]


def record(training, temperature=1.5):
    return weights.Record(training.flat(), "0" * 64, None, temperature, valid_dice=0.9, commit="unknown")


def content(result, name, folder):
    """The results of a training, as bytes."""
    weights.save(folder / "weights", result.best_weights, record(settings().training(name)))
    return (folder / "weights").read_bytes(), str(result.history), str(result.best)
