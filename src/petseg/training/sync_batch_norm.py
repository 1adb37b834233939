"""Batch norm over the images of all processes, on a CPU: torch's own `SyncBatchNorm` computes on GPUs only."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class SyncBatchNorm2d(nn.BatchNorm2d):
    """`BatchNorm2d` that in training uses the mean and variance over the batches of all processes.

    (B, C, H, W) -> (B, C, H, W); a process may have no images (B = 0). It rounds where `BatchNorm2d` rounds: for
    contiguous float32 maps the output has the same bits as with all images in one process. Otherwise a ReLU near zero
    could be active in one and not in the other, which changes gradients far more than rounding does.
    """

    num_batches_tracked: Tensor
    running_mean: Tensor
    running_var: Tensor
    momentum: float

    @classmethod
    def convert_sync_batchnorm(cls, network: nn.Module) -> nn.Module:
        """Replaces each `BatchNorm2d` in `network`, with its parameters and buffers.

        Affine parameters, running statistics and `momentum` are required, as in all networks here.
        """
        for name, module in network.named_children():
            if type(module) is nn.BatchNorm2d:
                synced = cls(module.num_features, module.eps, module.momentum)
                synced._parameters, synced._buffers = module._parameters, module._buffers
                setattr(network, name, synced)
            else:
                cls.convert_sync_batchnorm(module)
        return network

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        with torch.no_grad():
            mean, variance, count = _statistics(x.float())
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_((variance * count / (count - 1)).float(), self.momentum)
        return _Normalize.apply(x.float(), self.weight, self.bias, mean, variance, count, self.eps).to(x.dtype)


def _statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (C,) float32, biased variance (C,) float64 and number of values per channel (1,), over all processes."""
    count = x.new_full((1,), x.numel() / x.shape[1], dtype=torch.float64)
    total, count = _sum_over_all(torch.cat([_channel_sums(x), count])).split([x.shape[1], 1])
    mean = (total / count).float()
    variance = _sum_over_all(_channel_sums((x - _channels(mean)).square())) / count
    return mean, variance, count


class _Normalize(torch.autograd.Function):
    """(x - mean) / √(variance + eps) * weight + bias, with the gradient through mean and variance: Ioffe and Szegedy
    2015, section 3. Parameters get this process's part of their gradients, as from any other layer."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, count: Tensor, eps: float
    ) -> Tensor:
        inverse = (variance.float().double() + eps).rsqrt().float()
        scale = inverse * weight
        shift = (bias.double() - mean.double() * scale.double()).float()
        ctx.save_for_backward(x, mean, inverse, scale, count)
        return torch.addcmul(_channels(shift), x, _channels(scale))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, inverse, scale, count = ctx.saved_tensors
        normal = (x - _channels(mean)) * _channels(inverse)
        bias, weight = _channel_sums(gradient), _channel_sums(gradient * normal)
        means = (_sum_over_all(torch.cat([bias, weight])) / count).float()
        along_bias, along_weight = means.split(len(mean))
        through = gradient - _channels(along_bias) - normal * _channels(along_weight)
        return through * _channels(scale), weight.float(), bias.float(), None, None, None, None


def _channel_sums(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (C,), summed in float64."""
    return x.sum((0, 2, 3), dtype=torch.float64)


def _channels(values: Tensor) -> Tensor:
    """(C,) -> (C, 1, 1), which broadcasts to (B, C, H, W)."""
    return values[:, None, None]


def _sum_over_all(part: Tensor) -> Tensor:
    """The sum of every process's `part`, in place."""
    dist.all_reduce(part)
    return part
