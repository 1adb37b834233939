"""1, 2 and 4 processes compute the same training."""

from functools import cache

import pytest
import torch
from torch import nn

from petseg.batches.train import EpochSampler
from petseg.runtime.signals import Interrupted
from petseg.training.distributed import World
from petseg.training.session import Checkpointer
from petseg.training.sync_batch_norm import SyncBatchNorm2d
from support import trainings, worlds

# Steps of 8, 8, 8 and a smaller last batch, which four processes divide unevenly; five epochs are 20 steps. A single
# pixel where rounding activates a ReLU changes a small network's gradient by a percent, and Adam amplifies that with
# lr: at 1e-3 even one process deviates by more than 1e-5 if its weights are changed by 1e-7.
STEPS = {"epochs": 5, "batch_size": 8, "lr": 1e-4}
OTHERWISE = {"loss.dice_over": "image", "loss.smooth": 1, "train.ema": 0.9, "train.clip": 0.1, "lr": 3e-3}
OTHERWISE |= {"optimizer.name": "sgd", "schedule.name": "one_cycle"}
CASES = {
    "unet": ("unet", 27, STEPS | {"seed": 4}),  # the last 3 images leave one of four processes without any
    "unet in parts": ("unet", 27, STEPS | {"seed": 4, "train.micro_batch": 4}),
    "resnet34_unet": ("resnet34_unet", 31, STEPS | {"seed": 1}),
    "unet otherwise": ("unet", 27, STEPS | {"seed": 4} | OTHERWISE),
}
VALID = 11  # two batches, of 8 and 3 images

pytestmark = pytest.mark.xdist_group("distributed")  # the tests share `results`, which takes long


class Recorder(Checkpointer):
    """Records the loss of every step."""

    def __init__(self, other):
        super().__init__(other.store, other.watch, other.world)
        self.losses = {}

    def maybe_save(self, state):
        if state.step:
            self.losses[state.epoch, state.step] = state.log[state.step - 1, :2].sum().item()
        super().maybe_save(state)


def train(case, world=None):
    """The loss of every step, the history, the weights, and the lengths of the history that were reported."""
    name, images, overrides = CASES[case]
    recorder, reported = Recorder(trainings.checkpointer(world=world)), []
    result, _ = trainings.run(
        name,
        train=trainings.squares(images),
        valid=trainings.squares(VALID, seed=1),
        checkpoints=recorder,
        world=world,
        on_epoch=lambda rows: reported.append(len(rows)),
        **overrides,
    )
    return list(recorder.losses.values()), result.history, result.best_weights, reported


def normalize(inputs, gradients, world=None):
    """Batch norm of this process's share: output, gradients of input, weight and bias, running mean and variance."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Sequential(nn.BatchNorm2d(3)))
    with torch.no_grad():
        network[0][0].weight.uniform_(0.5, 1.5)
        network[0][0].bias.uniform_(-1, 1)
    if world:
        assert type(SyncBatchNorm2d.convert_sync_batchnorm(network)[0][0]) is SyncBatchNorm2d
    share = slice(world.rank, None, world.size) if world else slice(None)
    x = inputs[share].clone().requires_grad_(True)
    y = network(x)
    y.backward(gradients[share])
    norm = network[0][0]
    return y.detach(), x.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var


def cases(size):
    """The cases for `size` processes: four on few cores spend most of their time waiting for each other."""
    return list(CASES) if size == 2 else ["unet"]


def everything(world, maps):
    """All results that the tests below check: starting processes takes longer than their work."""
    trained = {case: train(case, world) for case in cases(world.size)}
    return trained | {"norm": normalize(*maps, world)}


@cache
def maps():
    """Input and gradient for batch norm: 3 images, so that one of four processes has none."""
    generator = torch.Generator().manual_seed(1)
    return 3 * torch.randn(3, 3, 16, 16, generator=generator) + 2, torch.randn(3, 3, 16, 16, generator=generator)


@pytest.fixture(scope="module", params=[2, 4])
def results(request):
    return worlds.run(request.param, everything, maps())


@cache
def alone(case):
    return train(case)


def test_the_loss_of_every_step_agrees(results):
    for case in cases(len(results)):
        losses, history, state, _ = alone(case)
        shared, rows, weights, _ = results[0][0][case]
        assert len(losses) == 20
        assert len(set(losses)) == 20
        assert shared == pytest.approx(losses, abs=1e-5)
        for row, expected in zip(rows, history, strict=True):
            assert row == pytest.approx(expected, abs=1e-4)  # Dice counts pixels, and one may be at the threshold
            for key in ("valid_loss", "train_loss", "train_cross_entropy", "valid_soft_dice"):
                assert row[key] == pytest.approx(expected[key], abs=1e-5)
        off = [(weights[key].double() - value.double()).abs().mean().item() for key, value in state.items()]
        assert max(off) < 1e-5


def test_all_processes_have_the_same_result_and_only_the_main_process_prints(results):
    (first, printed), *others = results
    names = {CASES[case][0] for case in cases(len(results))}
    assert all(f"{name}: epoch 5/5, valid Dice" in printed for name in names)
    for other, printed in others:
        assert printed == ""
        for case in cases(len(results)):
            assert first[case][3] == [1, 2, 3, 4, 5]
            assert other[case][3] == []
            assert other[case][:2] == first[case][:2]
            assert all(torch.equal(other[case][2][key], value) for key, value in first[case][2].items())


def test_synchronized_batch_norm_equals_one_process_with_all_images(results):
    size = len(results)
    y, dx, weight, bias, mean, variance = normalize(*maps())
    shares = [value["norm"] for value, _ in results]
    for rank, share in enumerate(shares):
        assert torch.equal(share[0], y[rank::size])
        assert torch.allclose(share[1], dx[rank::size], atol=1e-6)
        assert torch.allclose(share[4], mean)
        assert torch.allclose(share[5], variance)
    assert torch.allclose(sum(share[2] for share in shares), weight, atol=1e-4)  # of 768 values each
    assert torch.allclose(sum(share[3] for share in shares), bias, atol=1e-4)


def train_until(world, folder, looks):
    """Trains until it is stopped; returns the position."""
    watch = trainings.StopAt(looks if world.rank == 0 else 10**6)  # one signal is enough for all
    checkpoints = trainings.checkpointer(folder, watch=watch, world=world)
    try:
        trainings.run(checkpoints=checkpoints, world=world, seed=4, lr=1e-4)
    except Interrupted as stopped:
        return str(stopped)


def test_a_training_resumes_with_another_number_of_processes(tmp_path):
    """10 images in steps of 4, 4 and 2, and two batches to validate, one per process."""
    expected, _ = trainings.run(seed=4, lr=1e-4)
    assert "epoch 1, step 3" in train_until(World(), tmp_path, 3)
    stops = [value for value, _ in worlds.run(2, train_until, tmp_path, 5)]
    assert len(set(stops)) == 1
    assert "epoch 2, step 2" in stops[0]
    assert "epoch 2, its validation" in train_until(World(), tmp_path, 3)
    resumed, _ = trainings.run(checkpoints=trainings.checkpointer(tmp_path), seed=4, lr=1e-4)
    assert len(resumed.history) == 3
    for row, same in zip(resumed.history, expected.history, strict=True):
        assert row == pytest.approx(same, abs=1e-4)
        assert row["train_loss"] == pytest.approx(same["train_loss"], abs=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_micro_batches_have_the_same_images_whatever_the_number_of_processes(size):
    members = [World(rank, size) for rank in range(size)]
    samplers = [EpochSampler(27, 8, 3, 1, member.rank, size) for member in members]
    for batch, *shares in zip(EpochSampler(27, 8, 3, 1), *samplers, strict=True):
        slices = [member.micro_batches(len(batch), 3) for member in members]
        for number, (part, weight) in enumerate(World().micro_batches(len(batch), 3)):
            together = [key for share, parts in zip(shares, slices, strict=True) for key in share[parts[number][0]]]
            assert sorted(together) == sorted(batch[part])
            assert {parts[number][1] for parts in slices} == {weight}
