"""What the networks are built from. Shapes are (B, C, H, W); all maps are float."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

# Mean and deviation of each channel for pixels in [0, 1]; those of ImageNet are its training set's (torchvision,
# `IMAGENET1K_V1` weights). `none` leaves pixels in [0, 255] as they are.
NORMALIZATIONS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "none": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}


class Normalize(nn.Module):
    """Pixels in [0, 255] less a mean, divided by a deviation, each of a channel: (B, 3, H, W) -> (B, 3, H, W).

    Both are buffers, so that saved weights need no outside knowledge.

    Args:
        normalization: a key of `NORMALIZATIONS`.
    """

    def __init__(self, normalization: str) -> None:
        super().__init__()
        mean, std = NORMALIZATIONS[normalization]
        self.register_buffer("mean", 255 * torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).view(-1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.std


class Style(NamedTuple):
    """How the layers of a network are made."""

    norm: str = "batch"  # after each convolution: batch | none
    padding: str = "zeros"  # what a convolution sees past the edge: zeros | reflect, the map mirrored there
    upsampling: str = "transposed"  # how a decoder doubles a map: transposed (learnt, 2 x 2) | bilinear
    align_corners: bool = True  # of all that is bilinear: corner pixels stay at the corners, as in F.interpolate


def conv(inputs: int, outputs: int, size: int, style: Style, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """Convolution that keeps the size (divides it by the stride)."""
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, padding_mode=style.padding, bias=bias)


def conv_norm(inputs: int, outputs: int, size: int, style: Style, stride: int = 1) -> nn.Sequential:
    """Convolution and, if the style has it, batch norm: then without bias, since batch norm takes the mean away."""
    if style.norm == "none":
        return nn.Sequential(conv(inputs, outputs, size, style, stride))
    return nn.Sequential(conv(inputs, outputs, size, style, stride, bias=False), nn.BatchNorm2d(outputs))


def resize(factor: float, style: Style) -> nn.Upsample:
    """Bilinear: (B, C, H, W) -> (B, C, factor * H, factor * W)."""
    return nn.Upsample(scale_factor=factor, mode="bilinear", align_corners=style.align_corners)


class DoubleConv(nn.Sequential):
    """Twice 3 x 3 convolution, norm, ReLU: (B, inputs, H, W) -> (B, outputs, H, W), with `middle` channels between."""

    def __init__(self, inputs: int, outputs: int, style: Style, middle: int | None = None) -> None:
        middle = outputs if middle is None else middle
        super().__init__(
            conv_norm(inputs, middle, 3, style),
            nn.ReLU(inplace=True),
            conv_norm(middle, outputs, 3, style),
            nn.ReLU(inplace=True),
        )


class ResidualBlock(nn.Module):
    """Basic block of He et al. 2016, figure 2: (B, inputs, H, W) -> (B, outputs, H / stride, W / stride).

    Where the shape changes, the shortcut is a convolution with batch norm (their option B).

    Args:
        style: its norm should be batch.
        stride_in: which of the two 3 x 3 convolutions carries the stride: 1 (He et al.) or 2.
        shortcut: size of the shortcut's convolution: 1 (He et al.) or 3.
    """

    def __init__(
        self, inputs: int, outputs: int, style: Style, stride: int = 1, stride_in: int = 1, shortcut: int = 1
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_in == 1 else (1, stride)
        self.residual = nn.Sequential(
            conv_norm(inputs, outputs, 3, style, first),
            nn.ReLU(inplace=True),
            conv_norm(outputs, outputs, 3, style, second),
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else conv_norm(inputs, outputs, shortcut, style, stride)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.residual(x) + self.shortcut(x))


class Up(nn.Module):
    """One step of a decoder: x doubled, the encoder's map beside it, DoubleConv.

    (B, inputs, H, W) and a map of the encoder -> (B, outputs, 2H, 2W). A transposed convolution gives `outputs`
    channels if it comes first; bilinear interpolation keeps those that it finds.

    Args:
        skip: channels of the encoder's map; 0 for a step without one.
        concatenate: `after` the doubling, with a map (B, skip, 2H, 2W), or `before` it, with a map (B, skip, H, W).
        shrink: halve the doubled x again, for a map (B, skip, H, W) after all; the result is (B, outputs, H, W).
    """

    def __init__(
        self, inputs: int, skip: int, outputs: int, style: Style, concatenate: str = "after", shrink: bool = False
    ) -> None:
        super().__init__()
        self.before = concatenate == "before"
        if style.upsampling == "bilinear":
            double, fused = resize(2, style), inputs + skip
        elif self.before:
            double, fused = nn.ConvTranspose2d(inputs + skip, inputs + skip, 2, stride=2), inputs + skip
        else:
            double, fused = nn.ConvTranspose2d(inputs, outputs, 2, stride=2), outputs + skip
        self.enlarge = nn.Sequential(double, resize(0.5, style)) if shrink else double
        self.fuse = DoubleConv(fused, outputs, style)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        if self.before:
            return self.fuse(self.enlarge(_beside(x, skip)))
        return self.fuse(_beside(self.enlarge(x), skip))


def _beside(x: Tensor, skip: Tensor | None) -> Tensor:
    return x if skip is None else torch.cat([x, skip], dim=1)
