"""UNet (Ronneberger et al. 2015) with padded convolutions, as in the four reports."""

from torch import Tensor, nn

from petseg.models.blocks import DoubleConv, Normalize, Style, Up, conv


class UNet(nn.Module):
    """(B, 3, H, W) pixels in [0, 255] -> (B, classes, H, W) logits; H and W multiples of 16.

    The defaults are the network of reports A and B, with 31,037,633 parameters. C has no norm; D pads by reflection,
    enlarges bilinearly and has two classes. The arguments are explained in params.yaml, those of the layers at `Style`.

    Args:
        width: channels of the first stage; they double at each of the four poolings, but bilinear has no more at the
            last: it cannot halve the channels on the way up, as a transposed convolution does.
        normalization: of the input, a key of `NORMALIZATIONS`.
        classes: 1 logit, of pet, or 2, of background and pet.
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
        style = Style(norm, padding, upsampling, align_corners)
        w1, w2, w3, w4 = (width * 2**i for i in range(4))
        w5, outputs = (2 * w4, (w4, w3, w2, w1)) if upsampling == "transposed" else (w4, (w3, w2, w1, w1))
        self.normalize = Normalize(normalization)
        self.pool = nn.MaxPool2d(2)
        self.encoder = nn.ModuleList(
            [DoubleConv(3, w1, style), DoubleConv(w1, w2, style), DoubleConv(w2, w3, style), DoubleConv(w3, w4, style)]
        )
        self.bottleneck = DoubleConv(w4, w5, style)
        steps = zip((w5, *outputs[:3]), (w4, w3, w2, w1), outputs, strict=True)  # channels from below, beside, after
        self.decoder = nn.ModuleList([Up(*channels, style) for channels in steps])
        self.head = conv(w1, classes, 1, style)

    def forward(self, image: Tensor) -> Tensor:
        x = self.normalize(image)
        skips = []
        for stage in self.encoder:
            x = stage(x)  # (B, w, H, W), then 2w at H/2, 4w at H/4, 8w at H/8
            skips.append(x)
            x = self.pool(x)
        x = self.bottleneck(x)  # (B, 16w, H/16, W/16); bilinear: 8w
        for up, skip in zip(self.decoder, reversed(skips), strict=True):
            x = up(x, skip)  # back through 8w at H/8 to w at H; bilinear: 4w at H/8, then 2w, w, w
        return self.head(x)
