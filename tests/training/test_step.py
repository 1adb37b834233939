"""A batch in parts has the gradient of the whole."""

import copy

import pytest
import torch

from petseg import models
from petseg.config.networks import NETWORKS
from petseg.losses import Loss
from petseg.training.distributed import Team
from petseg.training.step import Step, image_dice
from support import trainings

bce_dice_loss = Loss(entropy=1.0, dice=1.0)


def setting(name, images):
    """A network, and a batch for it whose first images have no pet at all: a part of them has a soft Dice loss of 1."""
    torch.manual_seed(0)
    network = models.build(name, trainings.settings())
    pixels, trimaps = trainings.squares(images)
    trimaps[: images // 2] = 2
    pixels, truth = trainings.PLAN.inputs(torch.from_numpy(pixels), torch.from_numpy(trimaps != 2))
    return network, pixels, truth


def step(network, pixels, truth, count, loss=bce_dice_loss, clip=None):
    """The loss, the sum of Dice, and all gradients, after a step that changes no weight."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0)
    parts = Team().parts(len(pixels), count)
    take_step = Step(network, optimizer, loss, clip, trainings.PLAN, Team())
    loss, dice = take_step(pixels, truth, parts)
    return loss.item(), dice.item(), gradient(network)


def gradient(network):
    return torch.cat([parameter.grad.flatten() for parameter in network.parameters()])


@pytest.mark.parametrize("name", NETWORKS)
def test_parts_have_the_gradient_of_the_undivided_batch(name):
    """Without batch norm in training mode, which would see other images together."""
    network, pixels, truth = setting(name, 7)
    network.eval()
    loss, dice, whole = step(network, pixels, truth, 1)
    logits = network(pixels)
    assert loss == pytest.approx(bce_dice_loss(logits, truth).item())
    assert dice == pytest.approx(image_dice(logits, truth > 0).sum().item())
    for count in (2, 3):
        in_parts = step(network, pixels, truth, count)
        assert in_parts[:2] == pytest.approx((loss, dice))
        assert (in_parts[2] - whole).norm() < 1e-6 * whole.norm()
    network.zero_grad()
    for x, y in zip(pixels.tensor_split(3), truth.tensor_split(3), strict=True):
        (bce_dice_loss(network(x), y) * len(x) / len(pixels)).backward()
    assert (gradient(network) - whole).norm() > 1e-2 * whole.norm()  # the mean of the parts' losses is another one


def test_soft_dice_per_image_has_the_gradient_of_the_undivided_batch_too():
    network, pixels, truth = setting("unet", 7)
    network.eval()
    per_image = Loss(entropy=0.5, dice=2.0, dice_over="image", smooth=1.0)
    loss, _, whole = step(network, pixels, truth, 1, per_image)
    assert loss == pytest.approx(per_image(network(pixels), truth).item())
    other, _, in_parts = step(network, pixels, truth, 3, per_image)
    assert other == pytest.approx(loss)
    assert (in_parts - whole).norm() < 1e-6 * whole.norm()


@pytest.mark.parametrize("count", [1, 3])
def test_a_gradient_is_shortened_only_where_it_is_longer(count):
    network, pixels, truth = setting("unet", 7)
    network.eval()
    _, _, whole = step(network, pixels, truth, count)
    _, _, clipped = step(network, pixels, truth, count, clip=whole.norm().item() / 4)
    torch.testing.assert_close(clipped, whole / 4)
    _, _, left = step(network, pixels, truth, count, clip=whole.norm().item() * 2)
    torch.testing.assert_close(left, whole)


def test_soft_dice_is_that_of_the_whole_batch_with_batch_norm_too():
    """Each part is normalised by itself; the loss joins them all."""
    network, pixels, truth = setting("unet", 6)
    network.train()
    with torch.no_grad():
        logits = torch.cat([copy.deepcopy(network)(part) for part in pixels.tensor_split(3)])
    parts = [bce_dice_loss(*pair).item() for pair in zip(logits.split(2), truth.split(2), strict=True)]
    loss, _, _ = step(network, pixels, truth, 3)
    assert loss == pytest.approx(bce_dice_loss(logits, truth).item(), rel=1e-5)
    assert abs(loss - sum(parts) / 3) > 1e-2


def test_running_statistics_move_once_a_part_and_the_first_pass_leaves_no_trace():
    network, pixels, truth = setting("unet", 6)
    network.train()
    expected = copy.deepcopy(network)
    with torch.no_grad():
        for part in pixels.tensor_split(3):
            expected(part)
    step(network, pixels, truth, 3)
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert {norm.num_batches_tracked.item() for norm in norms} == {3}
    assert all(norm.track_running_stats for norm in norms)
    for (name, value), other in zip(network.named_buffers(), expected.buffers(), strict=True):
        assert torch.allclose(value, other), name


def test_no_part_has_a_single_image_nor_many_more_than_asked_for():
    for micro_batch in range(2, 9):
        training = trainings.settings(**{"train.micro_batch": micro_batch}).training("unet")
        for size in range(2, 40):
            parts = Team().parts(size, training.parts(size))
            sizes = [part.stop - part.start for part in parts]
            assert sum(sizes) == size
            assert min(sizes) >= 2
            assert max(sizes) <= micro_batch + (micro_batch == 2)  # two and a rest of one stay together
    assert trainings.settings().training("unet").parts(1000) == 1


def test_training_in_parts_learns_and_differs_only_by_batch_norm():
    whole, _ = trainings.run(epochs=2, train=trainings.squares(8), batch_size=8)
    parted, _ = trainings.run(epochs=2, train=trainings.squares(8), batch_size=8, **{"train.micro_batch": 4})
    for row, other in zip(whole.history, parted.history, strict=True):
        assert row != other
        assert row["train_loss"] == pytest.approx(other["train_loss"], abs=0.05)
