import pytest
import torch
from torch import nn
from torch.nn import functional as F

from petseg.models.blocks import DoubleConv, LayerOptions, ReflectPad2d, ResidualBlock, Up, conv, resize


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("size", "height", "width"), [(1, 2, 3), (1, 8, 5), (3, 4, 5), (3, 9, 16)])
def test_reflect_pad_equals_torchs(size, height, width, memory_format):
    x = torch.randn(2, 3, height, width, dtype=torch.float64).contiguous(memory_format=memory_format)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    padded, expected = ReflectPad2d(size)(ours), F.pad(theirs, (size,) * 4, mode="reflect")
    assert torch.equal(padded, expected)
    assert padded.is_contiguous(memory_format=memory_format)
    gradient = torch.randn_like(expected)
    padded.backward(gradient)
    expected.backward(gradient)
    torch.testing.assert_close(ours.grad, theirs.grad)


def operations(node, found):
    """Names of all nodes of an autograd graph."""
    found.add(node.name())
    for parent, _ in node.next_functions:
        if parent is not None:
            operations(parent, found)
    return found


def test_gradient_of_reflect_pad_is_made_of_deterministic_operations():
    """None of them is in the list of `torch.use_deterministic_algorithms`."""
    padded = ReflectPad2d(3)(torch.rand(1, 1, 8, 8, requires_grad=True))
    used = operations(padded.grad_fn, set())
    assert {name.rstrip("0123456789") for name in used} <= {
        "CatBackward",
        "FlipBackward",
        "SliceBackward",
        "torch::autograd::AccumulateGrad",
    }


@pytest.mark.gpu
def test_gradient_of_reflect_pad_needs_no_warning_on_a_gpu():
    x = torch.rand(1, 1, 8, 8, device="cuda", requires_grad=True)
    torch.use_deterministic_algorithms(True)
    try:
        ReflectPad2d(1)(x).sum().backward()  # a warning would be an error
        assert x.grad.sum() == 10 * 10
    finally:
        torch.use_deterministic_algorithms(False)


def test_reflect_pad_refuses_a_map_that_is_too_small():
    with pytest.raises(ValueError, match=r"larger than 3 x 3, got shape \(1, 1, 3, 8\)"):
        ReflectPad2d(3)(torch.rand(1, 1, 3, 8))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_conv_has_the_given_padding(size, stride):
    zeros, reflect = (conv(2, 3, size, LayerOptions(padding=padding), stride) for padding in ("zeros", "reflect"))
    reference = nn.Conv2d(2, 3, size, stride, padding=size // 2, padding_mode="reflect")
    for module in (zeros, reflect):
        module.load_state_dict(dict(zip(module.state_dict(), reference.state_dict().values(), strict=True)))
    x = torch.rand(1, 2, 16, 16)
    torch.testing.assert_close(reflect(x), reference(x))
    torch.testing.assert_close(zeros(x), F.conv2d(x, reference.weight, reference.bias, stride, padding=size // 2))


@pytest.mark.parametrize(("stride_in", "between"), [(1, 8), (2, 16)])
@pytest.mark.parametrize("shortcut", [1, 3])
def test_residual_block_has_its_stride_in_the_given_convolution(stride_in, between, shortcut):
    block = ResidualBlock(4, 6, LayerOptions(), stride=2, stride_in=stride_in, shortcut=shortcut)
    x = torch.rand(2, 4, 16, 16)
    assert block.residual[0](x).shape == (2, 6, between, between)
    assert block(x).shape == (2, 6, 8, 8)
    assert block.shortcut[0].weight.shape == (6, 4, shortcut, shortcut)
    assert isinstance(ResidualBlock(4, 4, LayerOptions(), shortcut=shortcut).shortcut, nn.Identity)


def test_align_corners_of_bilinear_resizing():
    x = torch.tensor([0.0, 3.0]).view(1, 1, 1, 2).expand(1, 1, 2, 2)
    assert resize(2, LayerOptions())(x)[0, 0, 0].tolist() == pytest.approx([0, 1, 2, 3])
    not_aligned = resize(2, LayerOptions(align_corners=False))
    assert not_aligned(x)[0, 0, 0].tolist() == pytest.approx([0, 0.75, 2.25, 3])


@pytest.mark.parametrize("upsampling", ["transposed", "bilinear"])
def test_up_concatenates_before_or_after_upsampling(upsampling):
    options, x = LayerOptions(upsampling=upsampling), torch.rand(2, 8, 8, 8)
    large, same = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 8, 8)
    assert Up(8, 3, 5, options)(x, large).shape == (2, 5, 16, 16)
    assert Up(8, 3, 5, options, concatenate="before")(x, same).shape == (2, 5, 16, 16)
    assert Up(8, 3, 5, options, downsample=True)(x, same).shape == (2, 5, 8, 8)
    assert Up(8, 0, 5, options)(x).shape == Up(8, 0, 5, options, concatenate="before")(x).shape == (2, 5, 16, 16)
    for wrong, concatenate in ((same, "after"), (large, "before")):
        with pytest.raises(RuntimeError):
            Up(8, 3, 5, options, concatenate)(x, wrong)


def test_double_conv_has_its_middle_channels():
    double = DoubleConv(3, 5, LayerOptions(), middle=7)
    assert [m.weight.shape[:2] for m in double.modules() if isinstance(m, nn.Conv2d)] == [(7, 3), (5, 7)]
