"""Reflect padding; test_models.py compares the other blocks with the reports."""

import pytest
import torch
from torch.nn import functional as F

from petseg.models.blocks import ReflectPad2d


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
