"""Tests that every network passes: those of the reports, and any other in the registry."""

import pytest
import torch
from torch.nn import functional as F

from petseg import models
from petseg.config import params
from petseg.config.networks import NETWORKS
from support.paths import COMMITTED
from support.reported import VARIANTS, Tape, Variant, settle

REPORTED = {variant.name for variant in VARIANTS.values()}
OTHERS = {name: Variant(name, {}, 0, lambda *_: torch.empty(0)) for name in NETWORKS if name not in REPORTED}
EVERY = VARIANTS | OTHERS

every_network = pytest.mark.parametrize("variant", EVERY.values(), ids=EVERY)
every_report = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)


def small(variant):
    torch.manual_seed(0)
    return models.build(variant.name, variant.load(width=8))


def pixels(batch, height, width):
    return 255 * torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(1))


@every_report
def test_parameter_count_is_the_reports(variant):
    with torch.device("meta"):
        assert models.count_parameters(models.build(variant.name, variant.load(width=64))) == variant.parameters


@pytest.mark.parametrize("letter", ["a", "b", "c", "d"])
@pytest.mark.parametrize("name", ["unet", "resnet34_unet"])
def test_recipe_has_the_architecture_of_its_report(letter, name):
    recipe = params.load(COMMITTED, recipe=letter).network(name)
    assert recipe.architecture() == VARIANTS[f"{name}-{letter}"].load(width=64).network(name).architecture()


@every_network
@pytest.mark.parametrize(("batch", "height", "width"), [(2, 64, 64), (1, 128, 64), (3, 64, 192)])
def test_logits_have_the_size_of_the_image(variant, batch, height, width):
    classes = variant.own.get("classes", 1)
    assert small(variant).eval()(pixels(batch, height, width)).shape == (batch, classes, height, width)


@every_network
def test_size_multiple_is_the_smallest_possible(variant):
    section = variant.load(width=8).network(variant.name)
    multiple = section.size_multiple
    network = small(variant).eval()
    smallest = next(n * multiple for n in (1, 2) if section.size_error(n * multiple) is None)
    network(pixels(1, smallest, 3 * multiple))
    with pytest.raises(RuntimeError):
        network(pixels(1, 2 * multiple, 2 * multiple + multiple // 2))
    if smallest > multiple:
        with pytest.raises(ValueError, match="reflect padding of 1 needs a map larger than 1 x 1"):
            network(pixels(1, multiple, multiple))


@every_network
def test_every_parameter_gets_a_gradient(variant):
    network = small(variant)
    network(pixels(4, 64, 64)).square().mean().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        canceled = "upsample" in key and key.endswith("bias")  # by a batch norm after it
        assert parameter.grad.abs().sum() > 0 or canceled, key


@every_network
def test_overfits_one_batch(variant):
    torch.manual_seed(3)
    network = small(variant)
    images = pixels(4, 64, 64)
    truth = torch.zeros(4, 1, 64, 64)
    for i in range(4):  # a dark square, elsewhere in each image
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


@every_network
def test_channels_last_gives_the_same(variant):
    network = small(variant).double().eval()
    images = pixels(2, 64, 64).double()
    expected = network(images)
    network = network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network(images.contiguous(memory_format=torch.channels_last)), expected)


@every_report
def test_network_computes_what_the_report_describes(variant):
    network, images = small(variant).double(), pixels(2, 128, 64).double()
    with torch.no_grad():
        settle(network, images)
        tape = Tape(network, reflect=variant.own.get("padding") == "reflect")
        expected = variant.restated(tape, network.normalize(images), 8)
        assert tape.layers == []
        torch.testing.assert_close(network(images), expected, rtol=1e-9, atol=1e-12)


@every_report
def test_normalization_is_the_reports(variant):
    images = pixels(2, 64, 64)
    a = (torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225]))
    mean, std = {"imagenet": a, "half": (0.5, 0.5), "none": (0, 1 / 255)}[variant.own.get("normalization", "imagenet")]
    expected = ((images / 255).permute(0, 2, 3, 1) - mean) / std
    torch.testing.assert_close(small(variant).normalize(images).permute(0, 2, 3, 1), expected, rtol=1e-4, atol=1e-5)


def test_pet_logit_of_two_classes_is_their_difference():
    logits = torch.randn(3, 2, 5, 7, dtype=torch.float64)
    pet = models.pet_logit(logits)
    assert pet.shape == (3, 1, 5, 7)
    torch.testing.assert_close(torch.sigmoid(pet), logits.softmax(dim=1)[:, 1:])
    truth = (torch.rand(3, 1, 5, 7) > 0.5).double()
    loss = F.binary_cross_entropy_with_logits(pet, truth)
    torch.testing.assert_close(loss, F.cross_entropy(logits, truth[:, 0].long()))


def test_pet_logit_of_one_class_is_itself():
    logits = torch.randn(3, 1, 5, 7)
    assert models.pet_logit(logits) is logits
    for channels in (0, 3):
        with pytest.raises(ValueError, match="1 or 2 channels"):
            models.pet_logit(torch.zeros(3, channels, 5, 7))
