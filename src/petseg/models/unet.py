"""UNet (Ronneberger et al. 2015) with padded convolutions, as in the four reports."""

from torch import Tensor, nn

from petseg.models.blocks import DoubleConv, LayerOptions, Normalize, Up, conv


class UNet(nn.Module):
    """(B, 3, H, W) pixels in [0, 255] -> (B, classes, H, W) logits; H and W are multiples of 16.

    The defaults are the network of reports A and B, with 31,037,633 parameters. C has no norm. D has reflect padding,
    bilinear upsampling and two classes. params.yaml explains the arguments.

    With bilinear upsampling the last pooling keeps the number of channels, since interpolation cannot halve them as a
    transposed convolution does.
    """

    def __init__(
        self,
        width: int = 64,
        normalization: str = "imagenet",
        norm: str = "batch",
        padding: str = "zeros",
        upsampling: str = "transposed",
        align_corners: bool = True,
        classes: int = 1,
    ) -> None:
        super().__init__()
        options = LayerOptions(norm, padding, upsampling, align_corners)
        w1, w2, w3, w4 = (width * 2**i for i in range(4))
        w5, outputs = (2 * w4, (w4, w3, w2, w1)) if upsampling == "transposed" else (w4, (w3, w2, w1, w1))
        inputs, skips = (w5, *outputs[:3]), (w4, w3, w2, w1)
        self.normalize = Normalize(normalization)
        self.pool = nn.MaxPool2d(2)
        encoder = zip((3, w1, w2, w3), (w1, w2, w3, w4), strict=True)
        self.encoder = nn.ModuleList([DoubleConv(*channels, options) for channels in encoder])
        self.bottleneck = DoubleConv(w4, w5, options)
        decoder = zip(inputs, skips, outputs, strict=True)
        self.decoder = nn.ModuleList([Up(*channels, options) for channels in decoder])
        self.head = conv(w1, classes, 1, options)

    def forward(self, image: Tensor) -> Tensor:
        x = self.normalize(image)
        skips = []
        for stage in self.encoder:
            x = stage(x)  # (B, w, H, W), then 2w at H/2, 4w at H/4, 8w at H/8
            skips.append(x)
            x = self.pool(x)
        x = self.bottleneck(x)  # (B, 16w, H/16, W/16); bilinear: 8w
        for up, skip in zip(self.decoder, reversed(skips), strict=True):
            x = up(x, skip)  # 8w at H/8, then 4w, 2w, w at H; bilinear: 4w at H/8, then 2w, w, w
        return self.head(x)
