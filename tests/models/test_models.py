"""One battery that every reported network passes."""

import pytest
import torch
from torch.nn import functional as F

from petseg import models
from petseg.config import params
from support.reported import COMMITTED, VARIANTS, Tape, settle

pytestmark = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)


def small(variant, seed=0):
    torch.manual_seed(seed)
    return models.build(variant.name, variant.load(width=8))


def pixels(batch, height, width):
    return 255 * torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_parameter_count_is_the_reports(variant):
    with torch.device("meta"):
        assert models.count_parameters(models.build(variant.name, variant.load(width=64))) == variant.parameters


@pytest.mark.parametrize(("batch", "height", "width"), [(2, 64, 64), (1, 128, 64), (3, 64, 192)])
def test_logits_are_as_large_as_the_image(variant, batch, height, width):
    classes = variant.own.get("classes", 1)
    network = small(variant).eval()
    assert network(pixels(batch, height, width)).shape == (batch, classes, height, width)


def test_the_stated_multiple_is_the_lowest(variant):
    section = getattr(variant.load(width=8), variant.name)
    multiple = section.size_multiple
    network = small(variant).eval()
    least = next(n * multiple for n in (1, 2) if section.size_needed(n * multiple) is None)
    network(pixels(1, least, 3 * multiple))
    with pytest.raises(RuntimeError):
        network(pixels(1, 2 * multiple, 2 * multiple + multiple // 2))
    if least > multiple:
        with pytest.raises(RuntimeError, match="Padding size"):
            network(pixels(1, multiple, multiple))


def test_one_image_gives_the_same_alone_and_in_a_batch(variant):
    network = small(variant)
    network(pixels(8, 64, 64))  # moves the running statistics away from their start
    network.eval()
    images = pixels(3, 64, 64)
    torch.testing.assert_close(network(images)[1:2], network(images[1:2]), rtol=1e-4, atol=1e-5)


def test_logits_are_no_probabilities(variant):
    network = small(variant).eval()
    for level in (50, -50):
        network.head.bias.data.fill_(level)
        assert (network(pixels(1, 64, 64)) - level).abs().max() < 40


def test_gradients_reach_every_parameter(variant):
    network = small(variant)
    network(pixels(4, 64, 64)).square().mean().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        cancels = "enlarge" in key and key.endswith("bias")  # in a batch norm further on
        assert parameter.grad.abs().sum() > 0 or cancels, key


def test_overfits_one_batch(variant):
    torch.manual_seed(3)
    network = small(variant)
    images = pixels(4, 64, 64)
    truth = torch.zeros(4, 1, 64, 64)
    for i in range(4):  # a dark square elsewhere in each image
        rows, columns = slice(8 + 8 * i, 32 + 8 * i), slice(40 - 8 * i, 60 - 8 * i)
        truth[i, :, rows, columns] = 1
        images[i, :, rows, columns] *= 0.2
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(150 if variant.name == "unet" and "norm" in variant.own else 60):  # without any norm it is slower
        loss = F.binary_cross_entropy_with_logits(models.pet_logit(network(images)), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    wrong = ((models.pet_logit(network(images)) > 0) != (truth > 0)).float().mean().item()
    assert wrong < 0.02


def test_channels_last_gives_the_same(variant):
    network = small(variant).double().eval()
    images = pixels(2, 64, 64).double()
    expected = network(images)
    network = network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network(images.contiguous(memory_format=torch.channels_last)), expected)


def test_state_round_trip(variant):
    first, second = small(variant, seed=1), small(variant, seed=2)
    first(pixels(4, 64, 64))
    first.normalize.mean.add_(3)  # saved too: a weights file needs no outside knowledge
    images = pixels(2, 64, 64)
    assert not torch.equal(first.eval()(images), second.eval()(images))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.eval()(images), second.eval()(images))


def test_the_network_is_the_one_that_the_report_describes(variant):
    network, images = small(variant).double(), pixels(2, 128, 64).double()
    with torch.no_grad():
        settle(network, images)
        tape = Tape(network, reflect=variant.own.get("padding") == "reflect")
        expected = variant.restated(tape, network.normalize(images), 8)
        assert tape.layers == []
        torch.testing.assert_close(network(images), expected, rtol=1e-9, atol=1e-12)


def test_pixels_are_normalised_as_in_the_report(variant):
    images = pixels(2, 64, 64)
    a = (torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225]))
    mean, std = {"imagenet": a, "half": (0.5, 0.5), "none": (0, 1 / 255)}[variant.own.get("normalization", "imagenet")]
    expected = ((images / 255).permute(0, 2, 3, 1) - mean) / std
    torch.testing.assert_close(small(variant).normalize(images).permute(0, 2, 3, 1), expected, rtol=1e-4, atol=1e-5)


def test_an_unknown_network_is_refused(variant):
    with pytest.raises(ValueError, match="unet, resnet34_unet"):
        models.build(variant.name + "2", params.load(COMMITTED))
