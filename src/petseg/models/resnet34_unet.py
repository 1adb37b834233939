"""ResNet34-UNet as in report A: the encoder of ResNet-34 (He et al. 2016), the decoder of UNet."""

from torch import Tensor, nn

from petseg.models.blocks import Normalize, ResidualBlock, Up, conv_bn


def stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    """Residual blocks in a row; the first halves the size wherever the channels change."""
    first = ResidualBlock(inputs, outputs, stride=1 if inputs == outputs else 2)
    return nn.Sequential(first, *(ResidualBlock(outputs, outputs) for _ in range(blocks - 1)))


class ResNet34UNet(nn.Module):
    """(B, 3, H, W) pixels in [0, 255] -> (B, 1, H, W) logits of pet; H and W multiples of 64.

    Args:
        width: channels of stem and first stage; they double at each later stage. 64 in the report: 48,194,369
            parameters.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        w1, w2, w3, w4, w5 = (width * 2**i for i in range(5))
        self.normalize = Normalize()
        self.stem = nn.Sequential(
            conv_bn(3, w1, 7, stride=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1)
        )
        self.encoder = nn.ModuleList([stage(w1, w1, 3), stage(w1, w2, 4), stage(w2, w3, 6), stage(w3, w4, 3)])
        self.bottleneck = ResidualBlock(w4, w5, stride=2)
        self.decoder = nn.ModuleList([Up(w5, w4), Up(w4, w3), Up(w3, w2), Up(w2, w1)])
        self.enlarge = nn.Sequential(*_double(w1), *_double(w1))
        self.head = nn.Conv2d(w1, 1, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(self.normalize(image))  # (B, w, H/4, W/4)
        skips = []
        for blocks in self.encoder:
            x = blocks(x)  # (B, w, H/4, W/4), then 2w at H/8, 4w at H/16, 8w at H/32
            skips.append(x)
        x = self.bottleneck(x)  # (B, 16w, H/64, W/64)
        for up, skip in zip(self.decoder, reversed(skips), strict=True):
            x = up(x, skip)  # back through 8w at H/32 to w at H/4
        return self.head(self.enlarge(x))  # H/4 -> H/2 -> H


def _double(width: int) -> tuple[nn.Module, ...]:
    """2 x 2 transposed convolution, batch norm, ReLU: twice the height and width."""
    enlarge = nn.ConvTranspose2d(width, width, kernel_size=2, stride=2, bias=False)
    return enlarge, nn.BatchNorm2d(width), nn.ReLU(inplace=True)
