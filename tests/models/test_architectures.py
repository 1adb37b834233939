"""Choices of architecture that no report makes; test_models.py has those of the reports."""

import inspect

import pytest
import torch
from torch import nn

from petseg import models
from petseg.config import params
from petseg.models.resnet34_unet import ResNet34UNet
from petseg.models.unet import UNet
from petseg.runtime.errors import ParamsError
from support.paths import COMMITTED
from support.reported import VARIANTS


def network(variant, **changes):
    torch.manual_seed(0)
    return models.build(VARIANTS[variant].name, VARIANTS[variant].load(8, **changes)).eval()


def pixels(height, width):
    return 255 * torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("variant", ["a", "b", "c", "d"])
def test_without_pool_feature_maps_are_twice_as_large(variant):
    name, changes = f"resnet34_unet-{variant}", {"pool": "false"}
    if variant == "d":  # its decoder would exceed the size of the image
        changes["last_step"] = "none"
    sizes = []
    for built in (network(name, **changes | {"pool": "true"}), network(name, **changes)):
        for module in (*built.encoder, *built.decoder):
            module.register_forward_hook(lambda module, inputs, output: sizes.append(output.shape[2]))
        assert built(pixels(128, 64)).shape[2:] == (128, 64)
    assert sizes[len(sizes) // 2 :] == [2 * size for size in sizes[: len(sizes) // 2]]
    multiple = VARIANTS[name].load(8, **changes).network("resnet34_unet").size_multiple
    assert multiple == (32 if variant == "a" else 16)
    built(pixels(64, 3 * multiple))
    with pytest.raises(RuntimeError):
        built(pixels(64, 64 + multiple // 2))


def test_norm_none_applies_to_transposed_head_and_wide_bottleneck():
    without = network("resnet34_unet-a", norm="none", bottleneck="widen")
    parts = [*without.bottleneck.modules(), *without.decoder.modules(), *without.upsample.modules()]
    assert not any(isinstance(module, nn.BatchNorm2d) for module in parts)
    assert sum(isinstance(module, nn.ConvTranspose2d) and module.bias is not None for module in parts) == 3 + 2


@pytest.mark.parametrize("concatenate", ["after", "before"])
@pytest.mark.parametrize("last_step", ["none", "stage1", "stem", "plain"])
@pytest.mark.parametrize("bottleneck", ["halve", "widen", "narrow", "none"])
def test_combinations_work_or_are_refused(bottleneck, last_step, concatenate):
    refused = concatenate == "before" and (bottleneck == "halve" or last_step == "stage1")
    for upsampling, head in (("transposed", "bilinear"), ("bilinear", "transposed")):
        choices = {"bottleneck": bottleneck, "last_step": last_step, "concatenate": concatenate, "head": head}
        if refused:
            with pytest.raises(ParamsError, match="concatenate"):
                network("resnet34_unet-a", upsampling=upsampling, **choices)
        else:
            built = network("resnet34_unet-a", upsampling=upsampling, **choices)
            assert built(pixels(128, 64)).shape == (2, 1, 128, 64)


@pytest.mark.parametrize(("name", "network_class"), [("unet", UNet), ("resnet34_unet", ResNet34UNet)])
def test_defaults_are_those_of_params_yaml_except_the_width(name, network_class):
    defaults = {key: each.default for key, each in inspect.signature(network_class).parameters.items()}
    assert params.load(COMMITTED).network(name).architecture() | {"width": 64} == defaults
