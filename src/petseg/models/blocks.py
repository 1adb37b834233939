"""What the networks are built from. Shapes are (B, C, H, W); all maps are float."""

import torch
from torch import Tensor, nn

# Of the ImageNet training set, for pixels in [0, 1] (torchvision, `IMAGENET1K_V1` weights).
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Normalize(nn.Module):
    """Pixels in [0, 255] to zero mean and unit deviation a channel: (B, 3, H, W) -> (B, 3, H, W).

    Mean and deviation are buffers, so that saved weights need no outside knowledge.
    """

    def __init__(self, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD) -> None:
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).view(-1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.std


def conv_bn(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """Convolution and batch norm; no bias, since batch norm takes the mean away again."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False), nn.BatchNorm2d(outputs)
    )


class DoubleConv(nn.Sequential):
    """Twice 3 x 3 convolution, batch norm, ReLU: (B, inputs, H, W) -> (B, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            conv_bn(inputs, outputs, 3), nn.ReLU(inplace=True), conv_bn(outputs, outputs, 3), nn.ReLU(inplace=True)
        )


class ResidualBlock(nn.Module):
    """Basic block of He et al. 2016, figure 2: (B, inputs, H, W) -> (B, outputs, H / stride, W / stride).

    The first 3 x 3 convolution carries the stride. Where the shape changes, the shortcut is a 1 x 1 convolution with
    batch norm (their option B).
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            conv_bn(inputs, outputs, 3, stride), nn.ReLU(inplace=True), conv_bn(outputs, outputs, 3)
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else conv_bn(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.residual(x) + self.shortcut(x))


class Up(nn.Module):
    """One step of a decoder: 2 x 2 transposed convolution, the encoder's map of that size beside it, DoubleConv.

    (B, inputs, H, W) and the skip (B, outputs, 2H, 2W) -> (B, outputs, 2H, 2W), with inputs = 2 * outputs.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(inputs, outputs, kernel_size=2, stride=2)
        self.fuse = DoubleConv(2 * outputs, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.fuse(torch.cat([self.enlarge(x), skip], dim=1))
