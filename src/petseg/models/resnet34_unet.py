"""ResNet34-UNet: the encoder of ResNet-34 (He et al. 2016) with the decoder of UNet, as in the four reports.

The reports agree on the stem and the stages of 3, 4, 6 and 3 residual blocks. They differ in the rest (w is the width):

| | bottleneck | skip connections, in decoder order | channels of the decoder steps | upsampling to H |
|---|---|---|---|---|
| A | `halve`: 16w at H/64 | stage4, stage3, stage2, stage1 | 8w, 4w, 2w, w | transposed, from H/4 |
| B | `widen`: 8w at H/32 | stage3, stage2, stage1, stage1 again | 4w, 2w, w, w | bilinear, from H/4 |
| C | `none`: 8w at H/32 | stage3, stage2, stage1, stem | 4w, 2w, w, w | bilinear, from H/2 |
| D | `narrow`: 4w at H/32 | stage4, stage3, stage2, stage1, none | w/2 each | none, the decoder ends at H |

Stage 1 has size H/4, and each later stage half of the one before. The encoder has no map of size H/2 after the max
pool. So the last decoder step of B resizes its own map to that of stage 1, that of C resizes the stem's map, and that
of D has no skip connection. The decoder of C has no norm. D has reflect padding, concatenates before bilinear
upsampling, and its residual blocks have the stride in their second convolution and 3 x 3 shortcuts.

Without the stem's max pool every map from stage 1 on is twice as large as in the table. That suits small images: the
ResNets for CIFAR have no max pool either (He et al. 2016, section 4.2).
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from petseg.models.blocks import DoubleConv, LayerOptions, Normalize, ResidualBlock, Up, conv, conv_norm, resize


class ResNet34UNet(nn.Module):
    """(B, 3, H, W) pixels in [0, 255] -> (B, classes, H, W) logits.

    H and W are multiples of 64 with bottleneck `halve`, else of 32; without `pool`, of half that. The defaults are the
    network of report A, with 48,194,369 parameters. params.yaml explains the arguments.
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
        pool: bool = True,
        block_stride: int = 1,
        shortcut: int = 1,
        bottleneck: str = "halve",
        decoder_width: int | None = None,
        concatenate: str = "after",
        last_step: str = "none",
        head: str = "transposed",
        head_size: int = 1,
    ) -> None:
        super().__init__()
        w1, w2, w3, w4 = (width * 2**i for i in range(4))
        options = LayerOptions(norm, padding, upsampling, align_corners)
        with_norm = options._replace(norm="batch")
        block = partial(ResidualBlock, options=with_norm, stride_in=block_stride, shortcut=shortcut)

        self.normalize = Normalize(normalization)
        self.stem = nn.Sequential(conv_norm(3, w1, 7, with_norm, stride=2), nn.ReLU(inplace=True))
        if pool:
            self.stem.append(nn.MaxPool2d(3, stride=2, padding=1))
        self.encoder = nn.ModuleList(
            [_stage(block, w1, w1, 3), _stage(block, w1, w2, 4), _stage(block, w2, w3, 6), _stage(block, w3, w4, 3)]
        )
        self.bottleneck, channels = _bottleneck(bottleneck, w4, block, options)

        skips = _skip_connections(width, bottleneck, concatenate, last_step)
        self.skips = [name for name, _ in skips]
        self.upsample_stem = resize(2, options) if last_step == "stem" else nn.Identity()
        self.decoder = nn.ModuleList()
        for number, (name, skip) in enumerate(skips):
            outputs = decoder_width or skip or w1
            used_before = name in self.skips[:number]  # stage 1 again: half the size of the upsampled map
            self.decoder.append(Up(channels, skip, outputs, options, concatenate, downsample=used_before))
            channels = outputs

        doublings = 2 if concatenate == "after" else 1  # from the step with stage 1 to H
        doublings -= (last_step in ("stem", "plain")) + (not pool)
        self.upsample = _transposed(channels, doublings if head == "transposed" else 0, options)
        self.head = conv(channels, classes, head_size, options)
        self.resize = resize(2**doublings, options) if head == "bilinear" and doublings else nn.Identity()

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(self.normalize(image))  # (B, w, H/4, W/4); without pool this and all below are twice as large
        maps = {"stem": self.upsample_stem(x), "plain": None}
        for number, stage in enumerate(self.encoder, start=1):
            x = stage(x)  # (B, w, H/4, W/4), then 2w at H/8, 4w at H/16, 8w at H/32
            maps[f"stage{number}"] = x
        x = self.bottleneck(x)
        for up, skip in zip(self.decoder, self.skips, strict=True):
            x = up(x, maps[skip])  # see the table above
        return self.resize(self.head(self.upsample(x)))


def _stage(block: Callable[..., nn.Module], inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    """A stage of residual blocks; the first one has stride 2 if the number of channels changes."""
    first = block(inputs, outputs, stride=1 if inputs == outputs else 2)
    return nn.Sequential(first, *(block(outputs, outputs) for _ in range(blocks - 1)))


def _bottleneck(kind: str, w4: int, block: Callable[..., nn.Module], options: LayerOptions) -> tuple[nn.Module, int]:
    """The bottleneck, for an input of w4 channels, and its number of output channels."""
    if kind == "halve":
        return block(w4, 2 * w4, stride=2), 2 * w4
    if kind == "widen":
        return DoubleConv(w4, w4, options, middle=2 * w4), w4
    if kind == "narrow":
        return block(w4, w4 // 2), w4 // 2
    return nn.Identity(), w4


def _skip_connections(w: int, bottleneck: str, concatenate: str, last_step: str) -> list[tuple[str, int]]:
    """Name and channels of the encoder map that each decoder step concatenates."""
    skips = [("stage4", 8 * w), ("stage3", 4 * w), ("stage2", 2 * w), ("stage1", w)]
    if bottleneck != "halve" and concatenate == "after":
        skips = skips[1:]  # the bottleneck is as large as stage 4; upsampled it is as large as stage 3
    if last_step != "none":
        skips.append((last_step, 0 if last_step == "plain" else w))
    return skips


def _transposed(channels: int, times: int, options: LayerOptions) -> nn.Sequential:
    """`times` 2 x 2 transposed convolutions of stride 2, each with norm and ReLU."""
    layers = []
    for _ in range(times):
        norm = [nn.BatchNorm2d(channels)] if options.norm == "batch" else []
        layers += [nn.ConvTranspose2d(channels, channels, 2, stride=2, bias=not norm), *norm, nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
