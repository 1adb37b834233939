"""1, 2 and 4 processes compute the same training."""

import math
from functools import cache

import pytest
import torch
from torch import nn

from petseg.batches.train import EpochOrder
from petseg.config.networks import NETWORKS
from petseg.losses import Loss
from petseg.runtime.signals import Interrupted
from petseg.training import loop
from petseg.training.distributed import Team
from petseg.training.session import Keeper
from petseg.training.sync_batch_norm import SyncBatchNorm2d
from support import teams, trainings

# Steps of 8, 8, 8 and of what is left, over which four processes share unevenly; five epochs are 20 steps. One pixel
# where rounding opens a ReLU that was shut changes a small network's gradient by a percent, and Adam makes more of it
# the higher lr is: at 1e-3 a single process, too, strays by more than 1e-5 if its weights are changed by 1e-7.
STEPS = {"epochs": 5, "batch_size": 8, "lr": 1e-4}
OTHERWISE = {"loss.dice_over": "image", "loss.smooth": 1, "train.ema": 0.9, "train.clip": 0.1, "lr": 3e-3}
OTHERWISE |= {"optimizer.name": "sgd", "schedule.name": "one_cycle"}
CASES = {
    "unet": ("unet", 27, STEPS | {"seed": 4}),  # the last 3 images leave one of four processes without any
    "unet in parts": ("unet", 27, STEPS | {"seed": 4, "train.micro_batch": 4}),
    "resnet34_unet": ("resnet34_unet", 31, STEPS | {"seed": 1}),
    "unet otherwise": ("unet", 27, STEPS | {"seed": 4} | OTHERWISE),
}
VALID = 11  # two batches of 8 and 3, which two and four processes take turns with


class Noting(Keeper):
    """Notes the loss of every step."""

    def __init__(self, keep):
        super().__init__(keep.store, keep.watch, keep.team)
        self.losses = {}

    def between_steps(self, state, progress):
        if state.step:
            self.losses[state.epoch, state.step] = state.losses[state.step - 1].item()
        super().between_steps(state, progress)


def train(case, team=None):
    """The loss of every step, the history, the weights, and how often the history was told."""
    name, images, overrides = CASES[case]
    keep, told = Noting(trainings.keeper(team=team)), []
    result, _ = trainings.run(
        name,
        train=trainings.squares(images),
        valid=trainings.squares(VALID, seed=1),
        keep=keep,
        on_epoch=lambda rows: told.append(len(rows)),
        **overrides,
    )
    return list(keep.losses.values()), result.history, result.state, told


def normalise(inputs, gradients, team=None):
    """Batch norm of this process's share: outcome, gradients of input, weight and bias, running mean and variance."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Sequential(nn.BatchNorm2d(3)))
    with torch.no_grad():
        network[0][0].weight.uniform_(0.5, 1.5)
        network[0][0].bias.uniform_(-1, 1)
    if team:
        assert type(SyncBatchNorm2d.convert_sync_batchnorm(network)[0][0]) is SyncBatchNorm2d
    share = (team or Team()).share
    x = inputs[share(list(range(len(inputs))))].requires_grad_(True)
    y = network(x)
    y.backward(gradients[share(list(range(len(inputs))))])
    norm = network[0][0]
    return y.detach(), x.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var


def ask(team):
    """What a team answers: wishes, a sum and its gradient, rank 0's own."""
    part = torch.tensor([1.0 + team.rank], requires_grad=True)
    total = team.sum(part)
    (3 * total).sum().backward()
    wishes = [team.any(team.rank == 1), team.any(False), team.any(True)]
    return wishes, total.item(), part.grad.item(), team.from_leader(lambda: f"made by {team.rank}")


def cases(size):
    """Those that so many processes train: four on few cores spend their time waiting for each other."""
    return list(CASES) if size == 2 else ["unet", "resnet34_unet"]


def everything(team, maps):
    """All that the tests below look at: starting processes costs more than what they do."""
    trained = {case: train(case, team) for case in cases(team.size)}
    return trained | {"norm": normalise(*maps, team), "answers": ask(team)}


@cache
def maps():
    """Input and gradient for batch norm: 3 images, so that one of four processes has none."""
    generator = torch.Generator().manual_seed(1)
    return 3 * torch.randn(3, 3, 16, 16, generator=generator) + 2, torch.randn(3, 3, 16, 16, generator=generator)


@pytest.fixture(scope="module", params=[2, 4])
def team(request):
    return teams.run(request.param, everything, maps())


@cache
def alone(case):
    return train(case)


def test_the_loss_of_every_step_agrees(team):
    for case in cases(len(team)):
        losses, history, state, _ = alone(case)
        shared, rows, weights, _ = team[0][0][case]
        assert len(losses) == 20
        assert len(set(losses)) == 20
        assert shared == pytest.approx(losses, abs=1e-5)
        for row, expected in zip(rows, history, strict=True):
            assert row == pytest.approx(expected, abs=1e-4)  # a Dice counts pixels, and one may lie on the threshold
            assert row["valid_loss"] == pytest.approx(expected["valid_loss"], abs=1e-5)
        off = [(weights[key].double() - value.double()).abs().mean().item() for key, value in state.items()]
        assert max(off) < 1e-5


def test_all_processes_end_with_the_same_and_rank_0_alone_tells(team):
    (first, said), *others = team
    assert all(f"{name} 5/5: loss" in said for name in NETWORKS)
    for other, printed in others:
        assert printed == ""
        for case in cases(len(team)):
            assert first[case][3] == [1, 2, 3, 4, 5]
            assert other[case][3] == []
            assert other[case][:2] == first[case][:2]
            assert all(torch.equal(other[case][2][key], value) for key, value in first[case][2].items())


def test_a_team_answers_in_one_voice(team):
    size = len(team)
    for value, _ in team:
        assert value["answers"] == ([True, False, True], size * (size + 1) / 2, 3.0, "made by 0")


def test_batch_norm_has_the_bits_of_all_images_in_one_process(team):
    size = len(team)
    y, dx, weight, bias, mean, variance = normalise(*maps())
    shares = [value["norm"] for value, _ in team]
    for rank, share in enumerate(shares):
        assert torch.equal(share[0], y[rank::size])
        assert torch.allclose(share[1], dx[rank::size], atol=1e-6)
        assert torch.allclose(share[4], mean)
        assert torch.allclose(share[5], variance)
    assert torch.allclose(sum(share[2] for share in shares), weight, atol=1e-4)  # of 768 values each
    assert torch.allclose(sum(share[3] for share in shares), bias, atol=1e-4)


def go_on(team, folder, looks):
    """Trains until it is stopped; where that was."""
    watch = trainings.StopAt(looks if team.rank == 0 else 10**6)  # one signal is enough for all
    try:
        trainings.run(keep=trainings.keeper(folder, watch=watch, team=team), seed=4, lr=1e-4)
    except Interrupted as stopped:
        return str(stopped)


def test_a_training_goes_on_with_another_number_of_processes(tmp_path):
    """10 images in steps of 4, 4 and 2 and two batches to validate, which two processes do at once."""
    expected, _ = trainings.run(seed=4, lr=1e-4)
    assert "epoch 1, step 3" in go_on(Team(), tmp_path, 3)
    stops = [value for value, _ in teams.run(2, go_on, tmp_path, 5)]
    assert len(set(stops)) == 1
    assert "epoch 2, step 2" in stops[0]
    assert "epoch 2, its validation" in go_on(Team(), tmp_path, 3)
    resumed, _ = trainings.run(keep=trainings.keeper(tmp_path), seed=4, lr=1e-4)
    assert len(resumed.history) == 3
    for row, same in zip(resumed.history, expected.history, strict=True):
        assert row == pytest.approx(same, abs=1e-4)
        assert row["train_loss"] == pytest.approx(same["train_loss"], abs=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_shares_and_parts_are_the_whole_batch_whatever_the_number_of_processes(size):
    members = [Team(rank, size) for rank in range(size)]
    orders = [EpochOrder(27, 8, seed=3, share=member.share) for member in members]
    for batch, *shares in zip(EpochOrder(27, 8, seed=3), *orders, strict=True):
        assert sorted(batch) == sorted(key for share in shares for key in share)
        ends = [math.floor(len(batch) * part / 3) for part in range(4)]
        slices = [member.parts(len(batch), 3) for member in members]
        for part in range(3):
            together = [key for share, parts in zip(shares, slices, strict=True) for key in share[parts[part]]]
            assert sorted(together) == sorted(batch[ends[part] : ends[part + 1]])


@pytest.mark.parametrize("count", [1, 7, 8])
@pytest.mark.parametrize("size", [2, 3, 4])
def test_validation_counts_each_image_once(count, size):
    """The processes' sums, one after the other; each divides by the number of all images."""
    _, network = trainings.run(epochs=1)
    images, trimaps = trainings.squares(count, seed=4)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    network.eval()
    with torch.no_grad():
        network.head.bias -= network(pixels).median()  # half of all pixels are pet: no Dice is 0 or 1

    class Member(Team):
        def sum(self, part):
            return part

    def figures(team):
        return loop.evaluate(network, (images, trimaps), 2, Loss(1.0, 1.0), trainings.PLAN, team)

    looks = []
    parts = [figures(Member(rank, size)) for rank in range(size)]
    loop.evaluate(
        network, (images, trimaps), 2, Loss(1.0, 1.0), trainings.PLAN, Member(0, size), lambda: looks.append(0)
    )
    assert len(looks) == math.ceil(math.ceil(count / 2) / size)
    assert [sum(part) for part in zip(*parts, strict=True)] == pytest.approx(figures(Team()))
