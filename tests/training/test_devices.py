"""Whether all tensors of a training step are on the GPU, checked without one.

Under FakeTensorMode, tensors have a shape and a device but no memory. An operation on tensors of different devices
raises an error.
"""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from petseg import compute, losses, models
from petseg.compute import Plan
from petseg.config import params
from petseg.config.networks import NETWORKS
from petseg.config.overrides import recipe_names
from petseg.evaluation.tta import FlipTTA
from petseg.metrics import image_dice
from petseg.models import pet_logit
from support.paths import COMMITTED, ROOT

CUDA = torch.device("cuda", 0)


def build(name: str, p: params.Params) -> nn.Module:
    """A network on the GPU; `Plan.place` cannot move the parameters of a module under FakeTensorMode."""
    with CUDA:
        return models.build(name, p)


def forward(network: nn.Module, plan: Plan, loss: losses.Loss, size: int) -> tuple[torch.Tensor, ...]:
    """Forward pass, loss and Dice of two images, as in training/step.py."""
    images = torch.empty(2, size, size, 3, dtype=torch.uint8)
    masks = torch.empty(2, size, size, dtype=torch.bool)
    pixels, truth = plan.inputs(images, masks)
    with plan.autocast():
        logits = pet_logit(network(pixels).float())
    return logits, loss(logits, truth), image_dice(logits, truth)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("recipe", recipe_names(ROOT))
def test_forward_pass_and_loss_stay_on_the_gpu(recipe, name):
    p = params.load(COMMITTED, recipe=recipe, overrides=["train.precision=fp32"])  # CUDA's autocast needs a GPU
    training = p.training(name)
    plan, loss = compute.choose(training, CUDA), losses.build(training.loss)
    with FakeTensorMode():
        network = build(name, p)
        results = forward(network, plan, loss, training.image_size)
        results += forward(FlipTTA(network).eval(), plan, loss, training.image_size)
        assert {result.device for result in results} == {CUDA}
        assert results[0].shape == (2, 1, training.image_size, training.image_size)


def test_a_tensor_on_the_wrong_device_is_noticed():
    p = params.load(COMMITTED)
    training = p.training("unet")
    plan, loss = compute.choose(training, CUDA), losses.build(training.loss)
    with FakeTensorMode():
        network = build("unet", p)
        network.normalize.mean = network.normalize.mean.cpu()[None].expand(2, -1, -1, -1)
        with pytest.raises(RuntimeError, match="cuda"):
            forward(network, plan, loss, training.image_size)
