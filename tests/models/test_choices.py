"""What each choice of an architecture does, above all those that change no weight's shape."""

import inspect

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from petseg import models
from petseg.config import params
from petseg.models.blocks import DoubleConv, ResidualBlock, Style, Up, conv, resize
from petseg.models.resnet34_unet import ResNet34UNet
from petseg.models.unet import UNet
from petseg.runtime.errors import ParamsError
from support.reported import COMMITTED, VARIANTS, settle


def network(variant, **changes):
    torch.manual_seed(0)
    return models.build(VARIANTS[variant].name, VARIANTS[variant].load(8, **changes)).eval()


def pixels(height, width):
    return 255 * torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("variant", "key", "other"),
    [
        ("unet-a", "padding", "reflect"),
        ("unet-d", "align_corners", "false"),
        ("resnet34_unet-a", "block_stride", 2),
        ("resnet34_unet-b", "align_corners", "false"),
        ("resnet34_unet-b", "last_step", "stem"),
        ("resnet34_unet-c", "align_corners", "true"),
        ("resnet34_unet-c", "last_step", "stage1"),
        ("resnet34_unet-d", "padding", "zeros"),
        ("resnet34_unet-d", "align_corners", "false"),
        ("resnet34_unet-d", "block_stride", 1),
    ],
)
def test_equal_weights_answer_differently(variant, key, other):
    first, second, images = network(variant), network(variant, **{key: other}), pixels(128, 64)
    settle(first, images)
    second.load_state_dict(dict(zip(second.state_dict(), first.state_dict().values(), strict=True)))
    assert (first(images) - second(images)).abs().max() > 1e-3


@pytest.mark.parametrize(("variant", "part"), [("a", 4), ("b", 4), ("c", 2), ("d", 1)])
def test_the_decoder_ends_at_the_reports_size(variant, part):
    sizes = []
    built = network(f"resnet34_unet-{variant}")
    built.decoder[-1].register_forward_hook(lambda module, inputs, output: sizes.append(output.shape[2:]))
    built(pixels(128, 64))
    assert sizes == [(128 // part, 64 // part)]


@pytest.mark.parametrize("variant", ["a", "b", "c", "d"])
def test_without_pool_every_map_is_twice_as_large(variant):
    name, changes = f"resnet34_unet-{variant}", {"pool": "false"}
    if variant == "d":  # whose decoder would pass the image's size
        changes["last_step"] = "none"
    sizes = []
    for built in (network(name, **changes | {"pool": "true"}), network(name, **changes)):
        for module in (*built.encoder, *built.decoder):
            module.register_forward_hook(lambda module, inputs, output: sizes.append(output.shape[2]))
        assert built(pixels(128, 64)).shape[2:] == (128, 64)
    assert sizes[len(sizes) // 2 :] == [2 * size for size in sizes[: len(sizes) // 2]]
    section = VARIANTS[name].load(8, **changes).resnet34_unet
    multiple = section.size_multiple
    assert multiple == (32 if variant == "a" else 16)
    built(pixels(64, 3 * multiple))
    with pytest.raises(RuntimeError):
        built(pixels(64, 64 + multiple // 2))


def test_norm_none_leaves_no_norm_but_the_residual_encoders_and_gives_each_convolution_a_bias():
    unet, resnet = network("unet-c"), network("resnet34_unet-c")
    decoder = [*unet.modules(), *resnet.bottleneck.modules(), *resnet.decoder.modules(), *resnet.head.modules()]
    assert not any(isinstance(module, nn.BatchNorm2d) for module in decoder)
    assert all(module.bias is not None for module in decoder if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)))
    encoder = [*resnet.stem.modules(), *resnet.encoder.modules()]
    convolutions = [module for module in encoder if isinstance(module, nn.Conv2d)]
    assert (
        sum(isinstance(module, nn.BatchNorm2d) for module in encoder) == len(convolutions) == 36
    )  # 33 and 3 shortcuts
    assert all(module.bias is None for module in convolutions)


def test_norm_none_holds_for_a_learnt_head_and_a_bottleneck_of_convolutions_too():
    without = network("resnet34_unet-a", norm="none", bottleneck="widen")
    parts = [*without.bottleneck.modules(), *without.decoder.modules(), *without.enlarge.modules()]
    assert not any(isinstance(module, nn.BatchNorm2d) for module in parts)
    assert sum(isinstance(module, nn.ConvTranspose2d) and module.bias is not None for module in parts) == 3 + 2


@pytest.mark.parametrize(("stride_in", "between"), [(1, 8), (2, 16)])
@pytest.mark.parametrize("shortcut", [1, 3])
def test_a_residual_block_halves_in_the_stated_convolution(stride_in, between, shortcut):
    block = ResidualBlock(4, 6, Style(), stride=2, stride_in=stride_in, shortcut=shortcut)
    x = torch.rand(2, 4, 16, 16)
    assert block.residual[0](x).shape == (2, 6, between, between)
    assert block(x).shape == (2, 6, 8, 8)
    assert block.shortcut[0].weight.shape == (6, 4, shortcut, shortcut)
    assert isinstance(ResidualBlock(4, 4, Style(), shortcut=shortcut).shortcut, nn.Identity)


@pytest.mark.parametrize("size", [3, 7])
def test_reflect_padding_mirrors_the_map_and_leaves_the_inside_alone(size):
    zeros, reflect = conv(2, 3, size, Style()), conv(2, 3, size, Style(padding="reflect"))
    reflect.load_state_dict(zeros.state_dict())
    x, edge = torch.rand(1, 2, 16, 16), size // 2
    mirrored = torch.from_numpy(np.pad(x.numpy(), ((0, 0), (0, 0), (edge, edge), (edge, edge)), "reflect"))
    torch.testing.assert_close(reflect(x), F.conv2d(mirrored, zeros.weight, zeros.bias))
    inside = (..., slice(edge, -edge), slice(edge, -edge))
    torch.testing.assert_close(reflect(x)[inside], zeros(x)[inside])
    assert (reflect(x) - zeros(x)).abs()[..., 0, :].min() > 0


def test_bilinear_with_and_without_aligned_corners():
    x = torch.tensor([0.0, 3.0]).view(1, 1, 1, 2).expand(1, 1, 2, 2)
    assert resize(2, Style())(x)[0, 0, 0].tolist() == pytest.approx([0, 1, 2, 3])
    assert resize(2, Style(align_corners=False))(x)[0, 0, 0].tolist() == pytest.approx([0, 0.75, 2.25, 3])


@pytest.mark.parametrize("upsampling", ["transposed", "bilinear"])
def test_a_step_meets_a_map_of_its_own_size_before_doubling_and_of_twice_the_size_after(upsampling):
    style, x = Style(upsampling=upsampling), torch.rand(2, 8, 8, 8)
    large, same = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 8, 8)
    assert Up(8, 3, 5, style)(x, large).shape == (2, 5, 16, 16)
    assert Up(8, 3, 5, style, concatenate="before")(x, same).shape == (2, 5, 16, 16)
    assert Up(8, 3, 5, style, shrink=True)(x, same).shape == (2, 5, 8, 8)
    assert Up(8, 0, 5, style)(x).shape == Up(8, 0, 5, style, concatenate="before")(x).shape == (2, 5, 16, 16)
    for wrong, concatenate in ((same, "after"), (large, "before")):
        with pytest.raises(RuntimeError):
            Up(8, 3, 5, style, concatenate)(x, wrong)


def test_double_conv_has_its_middle():
    assert [m.weight.shape[:2] for m in DoubleConv(3, 5, Style(), middle=7).modules() if isinstance(m, nn.Conv2d)] == [
        (7, 3),
        (5, 7),
    ]


@pytest.mark.parametrize("concatenate", ["after", "before"])
@pytest.mark.parametrize("last_step", ["none", "stage1", "stem", "plain"])
@pytest.mark.parametrize("bottleneck", ["halve", "widen", "narrow", "none"])
def test_choices_can_be_combined_unless_they_are_refused(bottleneck, last_step, concatenate):
    nonsense = concatenate == "before" and (bottleneck == "halve" or last_step == "stage1")
    for upsampling, head in (("transposed", "bilinear"), ("bilinear", "transposed")):
        choices = {"bottleneck": bottleneck, "last_step": last_step, "concatenate": concatenate, "head": head}
        if nonsense:
            with pytest.raises(ParamsError, match=f"concatenate.*{'bottleneck' if bottleneck == 'halve' else 'after'}"):
                network("resnet34_unet-a", upsampling=upsampling, **choices)
        else:
            built = network("resnet34_unet-a", upsampling=upsampling, **choices)
            assert built(pixels(128, 64)).shape == (2, 1, 128, 64)


@pytest.mark.parametrize("built", [UNet, ResNet34UNet])
def test_the_defaults_are_those_of_params_yaml_but_for_the_width(built):
    name = {"UNet": "unet", "ResNet34UNet": "resnet34_unet"}[built.__name__]
    defaults = {key: each.default for key, each in inspect.signature(built).parameters.items()}
    architecture = getattr(params.load(COMMITTED), name).architecture()
    assert architecture | {"width": 64} == defaults


def test_the_pet_logit_of_two_classes_is_their_difference():
    logits = torch.randn(3, 2, 5, 7, dtype=torch.float64, requires_grad=True)
    pet = models.pet_logit(logits)
    assert pet.shape == (3, 1, 5, 7)
    torch.testing.assert_close(torch.sigmoid(pet), logits.softmax(dim=1)[:, 1:])
    assert torch.equal(pet[:, 0] > 0, logits.argmax(dim=1) == 1)
    truth = (torch.rand(3, 1, 5, 7) > 0.5).double()
    loss = F.binary_cross_entropy_with_logits(pet, truth)
    torch.testing.assert_close(loss, F.cross_entropy(logits, truth[:, 0].long()))


def test_the_pet_logit_of_one_class_is_itself_and_of_three_there_is_none():
    logits = torch.randn(3, 1, 5, 7)
    assert models.pet_logit(logits) is logits
    for channels in (0, 3):
        with pytest.raises(ValueError, match="1 or 2 classes"):
            models.pet_logit(torch.zeros(3, channels, 5, 7))
