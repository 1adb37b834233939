"""UNet (Ronneberger et al. 2015) as in report A: padded convolutions and batch norm."""

from torch import Tensor, nn

from petseg.models.blocks import DoubleConv, Normalize, Up


class UNet(nn.Module):
    """(B, 3, H, W) pixels in [0, 255] -> (B, 1, H, W) logits of pet; H and W multiples of 16.

    Args:
        width: channels of the first stage; they double at each of the four poolings. 64 in the report: 31,037,633
            parameters.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        w1, w2, w3, w4, w5 = (width * 2**i for i in range(5))
        self.normalize = Normalize()
        self.pool = nn.MaxPool2d(2)
        self.encoder = nn.ModuleList([DoubleConv(3, w1), DoubleConv(w1, w2), DoubleConv(w2, w3), DoubleConv(w3, w4)])
        self.bottleneck = DoubleConv(w4, w5)
        self.decoder = nn.ModuleList([Up(w5, w4), Up(w4, w3), Up(w3, w2), Up(w2, w1)])
        self.head = nn.Conv2d(w1, 1, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.normalize(image)
        skips = []
        for stage in self.encoder:
            x = stage(x)  # (B, w, H, W), then 2w at H/2, 4w at H/4, 8w at H/8
            skips.append(x)
            x = self.pool(x)
        x = self.bottleneck(x)  # (B, 16w, H/16, W/16)
        for up, skip in zip(self.decoder, reversed(skips), strict=True):
            x = up(x, skip)  # back through 8w at H/8 to w at H
        return self.head(x)
