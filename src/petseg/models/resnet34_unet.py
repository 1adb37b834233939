"""ResNet34-UNet: the encoder of ResNet-34 (He et al. 2016) and the decoder of UNet, as in the four reports.

They agree on the stem and the stages of 3, 4, 6 and 3 residual blocks, and differ in what comes after:

| | bottleneck | encoder's maps, step by step | channels of the steps | to the image's size |
|---|---|---|---|---|
| A | halve: 16w at H/64 | stage4, stage3, stage2, stage1 | 8w, 4w, 2w, w | transposed, from H/4 |
| B | widen: 8w at H/32 | stage3, stage2, stage1, stage1 again | 4w, 2w, w, w | bilinear, from H/4 |
| C | none: 8w at H/32 | stage3, stage2, stage1, stem | 4w, 2w, w, w | bilinear, from H/2 |
| D | narrow: 4w at H/32 | stage4, stage3, stage2, stage1, plain | w/2 each | reached |

The encoder's maps get smaller by halves from stage 1 (H/4) on. Where the decoder concatenates at H/2 there is none, and
the last step is each report's own: B shrinks its map to that of stage 1, C enlarges that of the stem, D takes none.
C's decoder has no norm. D pads by reflection, concatenates before it doubles, does that bilinearly, and has the strides
of its residual blocks in their second convolution, beside 3 x 3 shortcuts.

All four shrink the image four times before the first block. Without the stem's max pool every map from stage 1 on is
twice as large as in the table: for small images, as ResNets for those leave it out (He et al. 2016, section 4.2).
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from petseg.models.blocks import DoubleConv, Normalize, ResidualBlock, Style, Up, conv, conv_norm, resize


class ResNet34UNet(nn.Module):
    """(B, 3, H, W) pixels in [0, 255] -> (B, classes, H, W) logits; H and W multiples of 64, of 32 unless `halve`,
    and of half that without `pool`.

    The defaults are report A's network, with 48,194,369 parameters. The arguments are explained in params.yaml, those
    of the layers at `Style` and `ResidualBlock`; `norm` is that of the decoder, since residual blocks need theirs.

    Args:
        width: w, channels of stem and first stage; they double at each later stage.
        normalization: of the input, a key of `NORMALIZATIONS`.
        classes: 1 logit, of pet, or 2, of background and pet.
        pool: whether the stem ends with a max pool of stride 2.
        bottleneck: `halve`, a residual block to 16w with stride 2; `widen`, convolutions to 16w and back to 8w;
            `narrow`, a residual block to 4w; `none`.
        decoder_width: channels of every step; None gives each as many as the map has that it takes from the encoder.
        concatenate: the encoder's map, `after` a step has doubled its own or `before`.
        last_step: at H/2, `stage1`, `stem` or `plain` as above; `none` ends the decoder before it.
        head: to the image's size by learnt `transposed` convolutions, or `bilinear`, once the logits are made.
        head_size: of the convolution that makes the logits, 1 or 3.
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
        style = Style(norm, padding, upsampling, align_corners)
        residual = style._replace(norm="batch")
        block = partial(ResidualBlock, style=residual, stride_in=block_stride, shortcut=shortcut)

        self.normalize = Normalize(normalization)
        self.stem = nn.Sequential(conv_norm(3, w1, 7, residual, stride=2), nn.ReLU(inplace=True))
        if pool:
            self.stem.append(nn.MaxPool2d(3, stride=2, padding=1))
        self.encoder = nn.ModuleList(
            [_stage(block, w1, w1, 3), _stage(block, w1, w2, 4), _stage(block, w2, w3, 6), _stage(block, w3, w4, 3)]
        )
        self.bottleneck, channels = _bottleneck(bottleneck, w4, block, style)
        steps = _steps(width, bottleneck, concatenate, last_step)
        self.skips = [name for name, _ in steps]
        self.double_stem = resize(2, style) if last_step == "stem" else nn.Identity()
        self.decoder = nn.ModuleList()
        for number, (name, skip) in enumerate(steps):
            outputs = decoder_width or skip or w1
            again = name in self.skips[:number]  # stage 1's map, half as large as the doubled x
            self.decoder.append(Up(channels, skip, outputs, style, concatenate, shrink=again))
            channels = outputs

        doublings = 2 if concatenate == "after" else 1  # from stage 1's step to the image's size
        if last_step in ("stem", "plain"):
            doublings -= 1
        if not pool:
            doublings -= 1
        self.enlarge = _doubles(channels, doublings if head == "transposed" else 0, style)
        self.head = conv(channels, classes, head_size, style)
        self.resize = resize(2**doublings, style) if head == "bilinear" and doublings else nn.Identity()

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(self.normalize(image))  # (B, w, H/4, W/4); twice as large without pool, as all that follows
        maps = {"stem": self.double_stem(x), "plain": None}
        for number, stage in enumerate(self.encoder, start=1):
            x = stage(x)  # (B, w, H/4, W/4), then 2w at H/8, 4w at H/16, 8w at H/32
            maps[f"stage{number}"] = x
        x = self.bottleneck(x)
        for up, skip in zip(self.decoder, self.skips, strict=True):
            x = up(x, maps[skip])  # see the table above
        return self.resize(self.head(self.enlarge(x)))


def _stage(block: Callable[..., ResidualBlock], inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    """Residual blocks in a row; the first halves the size wherever the channels change."""
    first = block(inputs, outputs, stride=1 if inputs == outputs else 2)
    return nn.Sequential(first, *(block(outputs, outputs) for _ in range(blocks - 1)))


def _bottleneck(kind: str, w4: int, block: Callable[..., ResidualBlock], style: Style) -> tuple[nn.Module, int]:
    """What follows the encoder's last map, of w4 channels at H/32, and how many channels it gives."""
    if kind == "halve":
        return block(w4, 2 * w4, stride=2), 2 * w4
    if kind == "widen":
        return DoubleConv(w4, w4, style, middle=2 * w4), w4
    if kind == "narrow":
        return block(w4, w4 // 2), w4 // 2
    return nn.Identity(), w4


def _steps(w: int, bottleneck: str, concatenate: str, last_step: str) -> list[tuple[str, int]]:
    """The encoder's map that each step of the decoder takes, and its channels."""
    steps = [("stage4", 8 * w), ("stage3", 4 * w), ("stage2", 2 * w), ("stage1", w)]
    if bottleneck != "halve" and concatenate == "after":
        steps = steps[1:]  # x, at H/32, is doubled before it meets the first
    if last_step != "none":
        steps.append((last_step, 0 if last_step == "plain" else w))
    return steps


def _doubles(width: int, times: int, style: Style) -> nn.Sequential:
    """So many times 2 x 2 transposed convolution, norm, ReLU: each doubles height and width."""
    layers = []
    for _ in range(times):
        norm = [nn.BatchNorm2d(width)] if style.norm == "batch" else []
        layers += [nn.ConvTranspose2d(width, width, 2, stride=2, bias=not norm), *norm, nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
