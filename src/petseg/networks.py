"""Typed parameters of the two networks: what can be chosen of each, and which image sizes it then takes.

A reader of params.yaml finds each key explained there; `petseg.models` says what it builds from them.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

LearningRate = Annotated[float, Field(ge=1e-6, le=1)]
Epochs = Annotated[int, Field(ge=1, le=5000)]
BatchSize = Annotated[int, Field(ge=2, le=1024)]  # batch norm needs two values a channel

OWN = ("lr", "epochs", "batch_size")  # shared by both networks, unless one has a value of its own


class Section(BaseModel):
    """A section of params.yaml: all its keys and no other, of the very types, never changed after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Network(Section):
    """What both networks can be asked for, and each one's own values of `OWN`; None there takes the shared one."""

    width: Annotated[int, Field(ge=4, le=256)]
    pixels: Literal["imagenet", "half", "none"]
    norm: Literal["batch", "none"]
    padding: Literal["zeros", "reflect"]
    upsampling: Literal["transposed", "bilinear"]
    align_corners: bool
    classes: Literal[1, 2]
    lr: LearningRate | None
    epochs: Epochs | None
    batch_size: BatchSize | None

    @property
    def size_multiple(self) -> int:
        """How many times smaller than the image the network's smallest map is; image_size must be a multiple."""
        raise NotImplementedError

    def size_needed(self, image_size: int) -> str | None:
        """What image_size would have to be, as the end of a sentence, or None where it fits."""
        if image_size % self.size_multiple:
            return f"a multiple of {self.size_multiple}"
        if self.padding == "reflect" and image_size == self.size_multiple:
            return f"at least {2 * self.size_multiple}, since reflect padding cannot mirror a map of a single pixel"
        return None

    def architecture(self) -> dict[str, str | int | bool | None]:
        """All that decides the network's layers: the keyword arguments of its class in `petseg.models`."""
        return self.model_dump(exclude=set(OWN))


class UNetParams(Network):
    """The section `unet`."""

    @property
    def size_multiple(self) -> int:
        return 16  # four times halved


class ResNet34UNetParams(Network):
    """The section `resnet34_unet`."""

    pool: bool
    block_stride: Literal[1, 2]
    shortcut: Literal[1, 3]
    bottleneck: Literal["halve", "widen", "narrow", "none"]
    decoder_width: Annotated[int, Field(ge=2, le=1024)] | None
    concatenate: Literal["after", "before"]
    last_step: Literal["none", "stage1", "stem", "plain"]
    head: Literal["transposed", "bilinear"]
    head_size: Literal[1, 3]

    @property
    def size_multiple(self) -> int:
        halved = 4 + self.pool + (self.bottleneck == "halve")  # by stem, pool, three stages and bottleneck
        return 2**halved

    @model_validator(mode="after")
    def _maps_meet(self) -> "ResNet34UNetParams":
        if self.concatenate == "before" and self.bottleneck == "halve":
            raise ValueError(
                "resnet34_unet.concatenate is before, but with bottleneck halve the decoder starts at 1/64 of the "
                "image, where the encoder has no map; take another bottleneck or concatenate after"
            )
        if self.concatenate == "before" and self.last_step in ("stem", "plain") and not self.pool:
            raise ValueError(
                "resnet34_unet.pool is false and concatenate before, so that stage 1's step reaches the image's size; "
                f"take last_step none instead of {self.last_step}"
            )
        if self.concatenate == "before" and self.last_step == "stage1":
            raise ValueError(
                "resnet34_unet.last_step is stage1, which shrinks the enlarged map to that of stage 1 to concatenate "
                "both, so concatenate must be after"
            )
        return self
