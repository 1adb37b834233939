"""One battery that every network passes."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from petseg import models, params

COMMITTED = Path(__file__).resolve().parents[2] / "params.yaml"
SMALL = params.load(COMMITTED, overrides=["unet.width=8", "resnet34_unet.width=8"])
REPORTED = params.load(COMMITTED, overrides=["unet.width=64", "resnet34_unet.width=64"])

pytestmark = pytest.mark.parametrize("name", params.NETWORKS)


def small(name, seed=0):
    torch.manual_seed(seed)
    return models.build(name, SMALL)


def pixels(batch, height, width):
    return 255 * torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_parameter_count_is_the_reports(name):
    counts = {"unet": 31_037_633, "resnet34_unet": 48_194_369}
    with torch.device("meta"):
        assert models.count_parameters(models.build(name, REPORTED)) == counts[name]


@pytest.mark.parametrize(("batch", "height", "width"), [(2, 64, 64), (1, 128, 64), (3, 64, 192)])
def test_logits_are_as_large_as_the_image(name, batch, height, width):
    network = small(name).eval()
    assert network(pixels(batch, height, width)).shape == (batch, 1, height, width)


def test_the_stated_multiple_is_the_lowest(name):
    multiple = getattr(SMALL, name).size_multiple
    network = small(name).eval()
    network(pixels(1, multiple, 3 * multiple))
    with pytest.raises(RuntimeError):
        network(pixels(1, multiple, 2 * multiple + multiple // 2))


def test_one_image_gives_the_same_alone_and_in_a_batch(name):
    network = small(name)
    network(pixels(8, 64, 64))  # moves the running statistics away from their start
    network.eval()
    images = pixels(3, 64, 64)
    torch.testing.assert_close(network(images)[1:2], network(images[1:2]), rtol=1e-4, atol=1e-5)


def test_logits_are_no_probabilities(name):
    logits = small(name)(pixels(8, 64, 64))
    assert logits.min() < 0 < logits.max()
    head = small(name)
    head.head.bias.data.fill_(50)
    assert head.eval()(pixels(1, 64, 64)).min() > 10


def test_gradients_reach_every_parameter(name):
    network = small(name)
    network(pixels(4, 64, 64)).square().mean().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().sum() > 0 or key.endswith("enlarge.bias"), key


def test_overfits_one_batch(name):
    torch.manual_seed(3)
    network = small(name)
    images = pixels(4, 64, 64)
    truth = torch.zeros(4, 1, 64, 64)
    for i in range(4):  # a dark square elsewhere in each image
        rows, columns = slice(8 + 8 * i, 32 + 8 * i), slice(40 - 8 * i, 60 - 8 * i)
        truth[i, :, rows, columns] = 1
        images[i, :, rows, columns] *= 0.2
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(60):
        loss = F.binary_cross_entropy_with_logits(network(images), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    wrong = ((network(images) > 0) != (truth > 0)).float().mean().item()
    assert wrong < 0.02


def test_channels_last_gives_the_same(name):
    network = small(name).double().eval()
    images = pixels(2, 64, 64).double()
    expected = network(images)
    network = network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network(images.contiguous(memory_format=torch.channels_last)), expected)


def test_state_round_trip(name):
    first, second = small(name, seed=1), small(name, seed=2)
    first(pixels(4, 64, 64))
    first.normalize.mean.add_(3)  # saved too: a weights file needs no outside knowledge
    images = pixels(2, 64, 64)
    assert not torch.equal(first.eval()(images), second.eval()(images))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.eval()(images), second.eval()(images))


def test_images_are_normalised_as_imagenet(name):
    network = small(name)
    images = pixels(2, 64, 64)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = ((images / 255).permute(0, 2, 3, 1) - mean) / std
    torch.testing.assert_close(network.normalize(images).permute(0, 2, 3, 1), expected, rtol=1e-4, atol=1e-5)


def test_an_unknown_network_is_refused(name):
    with pytest.raises(ValueError, match="unet, resnet34_unet"):
        models.build(name + "2", SMALL)
