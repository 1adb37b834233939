"""Forward and backward pass, with and without gradient accumulation."""

import pytest
import torch

from petseg import models
from petseg.losses import Loss
from petseg.metrics import image_dice
from petseg.training.distributed import World
from petseg.training.step import forward_backward
from support import trainings

BATCH = Loss(entropy=1.0, dice=1.0)
PER_IMAGE = Loss(entropy=0.5, dice=2.0, dice_over="image", smooth=1.0)


def setting(name, images):
    """A network in eval mode, where batch norm does not mix images, and a batch whose first images have no pet."""
    torch.manual_seed(0)
    network = models.build(name, trainings.settings()).eval()
    pixels, trimaps = trainings.squares(images)
    trimaps[: images // 2] = 2
    return network, torch.from_numpy(pixels), torch.from_numpy(trimaps != 2)


def gradients(network, images, masks, micro_batch, loss):
    """What `forward_backward` returns, and all gradients."""
    network.zero_grad()
    parts = World().micro_batches(len(images), micro_batch)
    log = forward_backward(network, images, masks, parts, loss, trainings.PLAN, World())
    return log.tolist(), torch.cat([parameter.grad.flatten() for parameter in network.parameters()])


@pytest.mark.parametrize(("name", "loss"), [("unet", BATCH), ("unet", PER_IMAGE), ("resnet34_unet", BATCH)])
@pytest.mark.parametrize(("micro_batch", "count"), [(None, 1), (2, 3), (4, 2)])
def test_gradients_are_the_mean_over_micro_batches_weighted_by_images(name, loss, micro_batch, count):
    network, images, masks = setting(name, 7)
    (entropy, soft_dice, dice), gradient = gradients(network, images, masks, micro_batch, loss)
    pixels, truth = trainings.PLAN.inputs(images, masks)
    expected, values = 0, []
    for part, share in World().micro_batches(7, micro_batch):
        network.zero_grad()
        value = loss(network(pixels[part]), truth[part])
        value.backward()
        expected += share * torch.cat([parameter.grad.flatten() for parameter in network.parameters()])
        values.append(share * value.item())
    assert len(values) == count
    assert (gradient - expected).norm() < 1e-6 * expected.norm()
    assert loss.entropy * entropy + loss.dice * soft_dice == pytest.approx(sum(values))
    assert dice == pytest.approx(image_dice(network(pixels), truth).sum().item())


def test_micro_batches_have_at_least_2_images_and_at_most_the_given_number():
    for micro_batch in range(2, 9):
        for size in range(2, 40):
            parts = World().micro_batches(size, micro_batch)
            sizes = [part.stop - part.start for part, _ in parts]
            assert [share for _, share in parts] == pytest.approx([images / size for images in sizes])
            assert sum(sizes) == size
            assert min(sizes) >= 2
            assert max(sizes) <= micro_batch + (micro_batch == 2)  # 3 images cannot be divided
    assert World().micro_batches(1000, None) == [(slice(0, 1000), 1.0)]
