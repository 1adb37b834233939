"""Building blocks of the networks. Feature maps are float, (B, C, H, W)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

# Mean and standard deviation per channel, for pixels in [0, 1]. Those of `imagenet` are of its training set, as for
# torchvision's `IMAGENET1K_V1` weights. `none` leaves pixels in [0, 255] as they are.
NORMALIZATIONS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "none": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}


class Normalize(nn.Module):
    """Normalizes pixels in [0, 255] per channel by an entry of `NORMALIZATIONS`: (B, 3, H, W) -> (B, 3, H, W).

    Mean and standard deviation are buffers, so a weights file contains them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, normalization: str) -> None:
        super().__init__()
        mean, std = NORMALIZATIONS[normalization]
        self.register_buffer("mean", 255 * torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).view(-1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.std


class LayerOptions(NamedTuple):
    """Choices that all layers of a network share; they are parameters of the same names in params.yaml."""

    norm: str = "batch"  # after each convolution: batch | none
    padding: str = "zeros"  # of convolutions: zeros | reflect
    upsampling: str = "transposed"  # in the decoder: transposed (2 x 2 convolution) | bilinear
    align_corners: bool = True  # of bilinear resizing, as in F.interpolate


class ReflectPad2d(nn.Module):
    """Pads by reflection, as nn.ReflectionPad2d does: (B, C, H, W) -> (B, C, H + 2 size, W + 2 size).

    On a GPU the gradient of nn.ReflectionPad2d is nondeterministic. This one is built from slices, `flip` and `cat`,
    whose gradients are deterministic. A ValueError says that H or W is not larger than `size`.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        n = self.size
        if min(x.shape[-2:]) <= n:
            raise ValueError(f"reflect padding of {n} needs a map larger than {n} x {n}, got shape {tuple(x.shape)}")
        x = torch.cat([x[..., 1 : n + 1].flip(-1), x, x[..., -n - 1 : -1].flip(-1)], dim=-1)
        return torch.cat([x[..., 1 : n + 1, :].flip(-2), x, x[..., -n - 1 : -1, :].flip(-2)], dim=-2)


def conv(inputs: int, outputs: int, size: int, options: LayerOptions, stride: int = 1, bias: bool = True) -> nn.Module:
    """Convolution with an odd kernel size: (B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
    if options.padding == "reflect" and size > 1:
        return nn.Sequential(ReflectPad2d(size // 2), nn.Conv2d(inputs, outputs, size, stride, bias=bias))
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=bias)


def conv_norm(inputs: int, outputs: int, size: int, options: LayerOptions, stride: int = 1) -> nn.Sequential:
    """Convolution and batch norm, without a bias, which the norm would cancel; or a convolution with bias alone."""
    if options.norm == "none":
        return nn.Sequential(conv(inputs, outputs, size, options, stride))
    return nn.Sequential(conv(inputs, outputs, size, options, stride, bias=False), nn.BatchNorm2d(outputs))


def resize(factor: float, options: LayerOptions) -> nn.Upsample:
    """Bilinear interpolation: (B, C, H, W) -> (B, C, factor * H, factor * W)."""
    return nn.Upsample(scale_factor=factor, mode="bilinear", align_corners=options.align_corners)


class DoubleConv(nn.Sequential):
    """Two 3 x 3 convolutions, each with norm and ReLU: (B, inputs, H, W) -> (B, outputs, H, W).

    There are `middle` channels between the two, by default `outputs`.
    """

    def __init__(self, inputs: int, outputs: int, options: LayerOptions, middle: int | None = None) -> None:
        middle = outputs if middle is None else middle
        super().__init__(
            conv_norm(inputs, middle, 3, options),
            nn.ReLU(inplace=True),
            conv_norm(middle, outputs, 3, options),
            nn.ReLU(inplace=True),
        )


class ResidualBlock(nn.Module):
    """Basic block of ResNet-34 (He et al. 2016, figure 2): (B, inputs, H, W) -> (B, outputs, H / stride, W / stride).

    The shortcut is the identity, or a convolution with batch norm if the shape changes (option B of He et al.).

    Args:
        options: with norm `batch`.
        stride_in: which of the two 3 x 3 convolutions has the stride: 1 (He et al.) or 2.
        shortcut: kernel size of the shortcut's convolution: 1 (He et al.) or 3.
    """

    def __init__(
        self, inputs: int, outputs: int, options: LayerOptions, stride: int = 1, stride_in: int = 1, shortcut: int = 1
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_in == 1 else (1, stride)
        self.residual = nn.Sequential(
            conv_norm(inputs, outputs, 3, options, first),
            nn.ReLU(inplace=True),
            conv_norm(outputs, outputs, 3, options, second),
        )
        same_shape = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same_shape else conv_norm(inputs, outputs, shortcut, options, stride)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.residual(x) + self.shortcut(x))


class Up(nn.Module):
    """Decoder step: upsamples by 2, concatenates the skip connection, DoubleConv.

    (B, inputs, H, W) and a map of the encoder -> (B, outputs, 2H, 2W).

    Args:
        skip: channels of the encoder's map; 0 for a step without skip connection.
        concatenate: `after` upsampling, a map (B, skip, 2H, 2W), or `before` it, a map (B, skip, H, W).
        downsample: resize the upsampled x back to H x W, to concatenate a map (B, skip, H, W) after all; the result is
            (B, outputs, H, W). Only for concatenate `after`.
    """

    def __init__(
        self,
        inputs: int,
        skip: int,
        outputs: int,
        options: LayerOptions,
        concatenate: str = "after",
        downsample: bool = False,
    ) -> None:
        super().__init__()
        self.concatenate = concatenate
        before, after = (skip, 0) if concatenate == "before" else (0, skip)
        channels = inputs + before
        if options.upsampling == "bilinear":
            self.upsample, upsampled = resize(2, options), channels
        else:
            upsampled = channels if concatenate == "before" else outputs
            self.upsample = nn.ConvTranspose2d(channels, upsampled, 2, stride=2)
        self.downsample = resize(0.5, options) if downsample else nn.Identity()
        self.conv = DoubleConv(upsampled + after, outputs, options)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        if self.concatenate == "before":
            return self.conv(self.upsample(_concatenate(x, skip)))
        return self.conv(_concatenate(self.downsample(self.upsample(x)), skip))


def _concatenate(x: Tensor, skip: Tensor | None) -> Tensor:
    return x if skip is None else torch.cat([x, skip], dim=1)
