"""Batch norm over the images of all processes, on a CPU: torch's own `SyncBatchNorm` computes on GPUs only."""

import torch
import torch.distributed as dist
from torch import Tensor, nn


class SyncBatchNorm2d(nn.BatchNorm2d):
    """`BatchNorm2d` whose mean and variance in training are those of all processes' batches together.

    (B, C, H, W) -> (B, C, H, W); a process may have no image at all (B = 0). Sums are taken in float64.
    """

    @classmethod
    def convert_sync_batchnorm(cls, network: nn.Module) -> nn.Module:
        """Puts one in the place of each `BatchNorm2d` in `network`, with its parameters and buffers."""
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
        wide = x.double()
        count = wide.new_full((1,), x.numel() / x.shape[1])
        parts = torch.cat([wide.sum((0, 2, 3)), wide.square().sum((0, 2, 3)), count])  # (2C + 1,)
        total, square, count = _SumForAll.apply(parts).split([x.shape[1], x.shape[1], 1])
        mean = total / count
        variance = square / count - mean.square()
        if self.track_running_stats:
            with torch.no_grad():
                self.num_batches_tracked.add_(1)
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
                unbiased = variance * count / (count - 1)
                self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        scale = self.weight / (variance + self.eps).sqrt()
        shift = self.bias - mean * scale
        return torch.addcmul(shift[:, None, None], wide, scale[:, None, None]).to(x.dtype)


class _SumForAll(torch.autograd.Function):
    """The sum over all processes. Each process's outcome depends on it, so its gradient is a sum over all too."""

    @staticmethod
    def forward(ctx: object, part: Tensor) -> Tensor:
        total = part.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        dist.all_reduce(gradient)
        return gradient
