"""The networks of the four reports, written down independently of petseg.models.

Nothing here uses our blocks. A `Tape` hands out the layers of one of our networks in order; functions apply them as a
report describes it. So a test also notices what leaves parameter counts and shapes unchanged: which map is
concatenated, where a stride is, how corners are aligned.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from petseg.config import params
from support.paths import COMMITTED


def settle(network: nn.Module, images: Tensor) -> None:
    """Sets the running statistics of batch norm to those of `images`, then eval mode.

    With the initial statistics the output of a deep network hardly depends on its input, which would hide mistakes.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain mean over all batches
    network.train()(images)
    network.eval()


class Tape:
    """The layers with weights of a network, in order. Each call takes the next one and checks type and shape."""

    def __init__(self, network: nn.Module, reflect: bool) -> None:
        self.layers = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d))]
        self.mode = "reflect" if reflect else "constant"

    def _next(self, kind: type, shape: tuple[int, ...], bias: bool = True) -> nn.Module:
        layer = self.layers.pop(0)
        assert type(layer) is kind
        assert layer.weight.shape == shape
        assert (layer.bias is not None) == bias
        return layer

    def conv(self, x: Tensor, channels: int, size: int = 3, stride: int = 1, bias: bool = False) -> Tensor:
        layer = self._next(nn.Conv2d, (channels, x.shape[1], size, size), bias)
        x = F.pad(x, (size // 2,) * 4, mode=self.mode) if size > 1 else x
        return F.conv2d(x, layer.weight, layer.bias, stride)

    def bn(self, x: Tensor) -> Tensor:
        layer = self._next(nn.BatchNorm2d, (x.shape[1],))
        return F.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias)

    def up(self, x: Tensor, channels: int, bias: bool = True) -> Tensor:
        layer = self._next(nn.ConvTranspose2d, (x.shape[1], channels, 2, 2), bias)
        return F.conv_transpose2d(x, layer.weight, layer.bias, stride=2)

    def cbr(self, x: Tensor, channels: int) -> Tensor:
        return F.relu(self.bn(self.conv(x, channels)))

    def cbr2(self, x: Tensor, channels: int) -> Tensor:
        return self.cbr(self.cbr(x, channels), channels)

    def cr2(self, x: Tensor, channels: int) -> Tensor:
        return F.relu(self.conv(F.relu(self.conv(x, channels, bias=True)), channels, bias=True))

    def block(self, x: Tensor, channels: int, stride: int = 1, d: bool = False) -> Tensor:
        """Residual block of reports A to C, or of D."""
        residual = F.relu(self.bn(self.conv(x, channels, stride=1 if d else stride)))
        residual = self.bn(self.conv(residual, channels, stride=stride if d else 1))
        if stride != 1 or x.shape[1] != channels:
            x = self.bn(self.conv(x, channels, size=3 if d else 1, stride=stride))
        return F.relu(residual + x)

    def resnet34(self, x: Tensor, w: int, d: bool = False) -> list[Tensor]:
        """Feature maps of the stem and of the four stages."""
        x = F.relu(self.bn(self.conv(x, w, size=7, stride=2)))
        maps = [F.max_pool2d(x, 3, stride=2, padding=1)]
        for channels, blocks, stride in ((w, 3, 1), (2 * w, 4, 2), (4 * w, 6, 2), (8 * w, 3, 2)):
            x = self.block(maps[-1], channels, stride, d)
            for _ in range(blocks - 1):
                x = self.block(x, channels, 1, d)
            maps.append(x)
        return maps


def cat(*maps: Tensor) -> Tensor:
    return torch.cat(maps, dim=1)


def bilinear(x: Tensor, like: Tensor, align_corners: bool = True) -> Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=align_corners)


bilinear2 = partial(F.interpolate, scale_factor=2, mode="bilinear", align_corners=True)


def unet_abc(t: Tape, x: Tensor, w: int, double: Callable = Tape.cbr2) -> Tensor:
    e1 = double(t, x, w)
    e2 = double(t, F.max_pool2d(e1, 2), 2 * w)
    e3 = double(t, F.max_pool2d(e2, 2), 4 * w)
    e4 = double(t, F.max_pool2d(e3, 2), 8 * w)
    x = double(t, F.max_pool2d(e4, 2), 16 * w)
    for skip, channels in ((e4, 8 * w), (e3, 4 * w), (e2, 2 * w), (e1, w)):
        x = double(t, cat(t.up(x, channels), skip), channels)
    return t.conv(x, 1, size=1, bias=True)


def unet_d(t: Tape, x: Tensor, w: int, transposed: bool = False) -> Tensor:
    maps = [t.cbr2(x, w)]
    for channels in (2 * w, 4 * w, 8 * w, 16 * w if transposed else 8 * w):
        maps.append(t.cbr2(F.max_pool2d(maps[-1], 2), channels))
    x = maps.pop()
    for channels in (8 * w, 4 * w, 2 * w, w) if transposed else (4 * w, 2 * w, w, w):
        x = t.cbr2(cat(t.up(x, channels) if transposed else bilinear2(x), maps.pop()), channels)
    return t.conv(x, 2, size=1, bias=True)


def resnet34_unet_a(t: Tape, x: Tensor, w: int) -> Tensor:
    _, s1, s2, s3, s4 = t.resnet34(x, w)
    x = t.block(s4, 16 * w, stride=2)
    for skip, channels in ((s4, 8 * w), (s3, 4 * w), (s2, 2 * w), (s1, w)):
        x = t.cbr2(cat(t.up(x, channels), skip), channels)
    for _ in range(2):
        x = F.relu(t.bn(t.up(x, w, bias=False)))
    return t.conv(x, 1, size=1, bias=True)


def resnet34_unet_b(t: Tape, image: Tensor, w: int) -> Tensor:
    _, s1, s2, s3, s4 = t.resnet34(image, w)
    x = t.cbr(t.cbr(s4, 16 * w), 8 * w)
    for skip, channels in ((s3, 4 * w), (s2, 2 * w), (s1, w), (s1, w)):
        x = t.cbr2(cat(bilinear(t.up(x, channels), like=skip), skip), channels)
    return bilinear(t.conv(x, 1, size=1, bias=True), like=image)


def resnet34_unet_c(t: Tape, image: Tensor, w: int) -> Tensor:
    stem, s1, s2, s3, x = t.resnet34(image, w)
    for skip, channels in ((s3, 4 * w), (s2, 2 * w), (s1, w), (stem, w)):
        x = t.up(x, channels)
        x = t.cr2(cat(x, bilinear(skip, like=x, align_corners=False)), channels)
    return bilinear(t.conv(x, 1, size=1, bias=True), like=image, align_corners=False)


def resnet34_unet_d(t: Tape, x: Tensor, w: int, transposed: bool = False) -> Tensor:
    _, s1, s2, s3, s4 = t.resnet34(x, w, d=True)
    x = t.block(s4, 4 * w, d=True)
    for skips in ([s4], [s3], [s2], [s1], []):
        x = cat(x, *skips)
        x = t.cbr2(t.up(x, x.shape[1]) if transposed else bilinear2(x), w // 2)
    return t.conv(x, 2, size=3, bias=True)


class Variant(NamedTuple):
    """A network as a report describes it.

    Attributes:
        name: its key in NETWORKS.
        own: parameters that differ from params.yaml.
        parameters: number of learned parameters at width 64.
        restated: function of a tape, normalized images and the width that returns the logits.
    """

    name: str
    own: dict[str, object]
    parameters: int
    restated: Callable[[Tape, Tensor, int], Tensor]

    def load(self, width: int, **changes: object) -> params.Params:
        """params.yaml with this network at `width`, and `changes` to its section."""
        own = {"width": width} | self.own | changes
        if "decoder_width" in own:  # half the width in report D
            own["decoder_width"] = width // 2
        overrides = [f"{self.name}.{key}={value}" for key, value in own.items()]
        if own.get("classes") == 2:  # the loss is shared, so both networks need two
            overrides += ["unet.classes=2", "resnet34_unet.classes=2", "loss.bce=0", "loss.cross_entropy=1"]
        return params.load(COMMITTED, overrides=overrides)


D = {"normalization": "none", "padding": "reflect", "upsampling": "bilinear", "classes": 2}
TRANSPOSED = {"upsampling": "transposed"}
RESNET_B = {"normalization": "half", "bottleneck": "widen", "last_step": "stage1", "head": "bilinear"}
RESNET_C = RESNET_B | {"bottleneck": "none", "last_step": "stem", "norm": "none", "align_corners": "false"}
RESNET_D = D | {"block_stride": 2, "shortcut": 3, "bottleneck": "narrow", "decoder_width": 32, "concatenate": "before"}
RESNET_D |= {"last_step": "plain", "head": "bilinear", "head_size": 3}

VARIANTS = {
    "unet-a": Variant("unet", {}, 31_037_633, unet_abc),
    "unet-b": Variant("unet", {"normalization": "half"}, 31_037_633, unet_abc),
    "unet-c": Variant(
        "unet", {"normalization": "half", "norm": "none"}, 31_031_745, partial(unet_abc, double=Tape.cr2)
    ),
    "unet-d": Variant("unet", D, 13_391_426, unet_d),
    "unet-d-transposed": Variant("unet", D | TRANSPOSED, 31_037_698, partial(unet_d, transposed=True)),
    "resnet34_unet-a": Variant("resnet34_unet", {}, 48_194_369, resnet34_unet_a),
    "resnet34_unet-b": Variant("resnet34_unet", RESNET_B, 33_865_089, resnet34_unet_b),
    "resnet34_unet-c": Variant("resnet34_unet", RESNET_C, 24_423_809, resnet34_unet_c),
    "resnet34_unet-d": Variant("resnet34_unet", RESNET_D, 26_045_954, resnet34_unet_d),
    "resnet34_unet-d-transposed": Variant(
        "resnet34_unet", RESNET_D | TRANSPOSED, 28_881_730, partial(resnet34_unet_d, transposed=True)
    ),
}
