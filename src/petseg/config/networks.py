"""The registry of networks, and the parameters of each.

A network is one entry of `NETWORKS`. Everything else that has to know the networks (parameters, models, report, plots,
summary) takes them from there. params.yaml explains each parameter.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError, PydanticKnownError

LearningRate = Annotated[float, Field(ge=1e-6, le=1)]
Epochs = Annotated[int, Field(ge=1, le=5000)]
BatchSize = Annotated[int, Field(ge=2, le=1024)]  # batch norm needs two values per channel

SHARED = ("lr", "epochs", "batch_size")  # top-level keys that a network's own section may override
FINE_TUNING = ("start", "encoder", "encoder_lr", "encoder_frozen")  # initial weights, and how they are trained further


class Section(BaseModel):
    """A section of params.yaml: frozen, with exactly its keys, without type conversion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _check_type(cls, value: object, info: ValidationInfo) -> object:
        annotation = cls.model_fields[str(info.field_name)].annotation
        options = get_args(annotation)
        if get_origin(annotation) is Literal and value in options and type(value) not in map(type, options):
            expected = " or ".join(map(repr, options))  # pydantic alone would take true and 1.0 for 1
            raise PydanticKnownError("literal_error", {"expected": expected})
        if type(None) in options and value in ("None", "none"):
            raise PydanticCustomError("not_null", "For no value, write null")
        return value


class NetworkParams(Section):
    """Parameters that every network has. For the keys in `SHARED`, None means the top-level value."""

    width: Annotated[int, Field(ge=4, le=256)]
    normalization: Literal["imagenet", "half", "none"]
    norm: Literal["batch", "none"]
    padding: Literal["zeros", "reflect"]
    upsampling: Literal["transposed", "bilinear"]
    align_corners: bool
    classes: Literal[1, 2]
    lr: LearningRate | None
    epochs: Epochs | None
    batch_size: BatchSize | None
    start: str | None  # path of a weights file

    @property
    def size_multiple(self) -> int:
        """Factor by which the network downsamples; `image_size` must be a multiple of it."""
        raise NotImplementedError

    def size_error(self, image_size: int) -> str | None:
        """Which `image_size` the network needs, as the end of a sentence; None if this one fits."""
        if image_size % self.size_multiple:
            return f"a multiple of {self.size_multiple}"
        if self.padding == "reflect" and image_size == self.size_multiple:
            return f"at least {2 * self.size_multiple}, since reflect padding cannot mirror a map of a single pixel"
        return None

    def architecture(self) -> dict[str, Any]:
        """The keyword arguments of the network's class: everything that decides its layers."""
        return {key: getattr(self, key) for key in self.architecture_keys()}

    @classmethod
    def architecture_keys(cls) -> list[str]:
        """The keys of `architecture`."""
        return [key for key in cls.model_fields if key not in (*SHARED, *FINE_TUNING)]

    def fine_tuning(self) -> dict[str, Any]:
        """The values of `FINE_TUNING` that this network has."""
        return {key: getattr(self, key) for key in FINE_TUNING if key in type(self).model_fields}


class UNetParams(NetworkParams):
    """The section `unet`."""

    @property
    def size_multiple(self) -> int:
        return 16


class ResNet34UNetParams(NetworkParams):
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
    encoder: str | None  # imagenet, or path of a weights file of torchvision's ResNet-34
    encoder_lr: Annotated[float, Field(gt=0, le=1)]
    encoder_frozen: Annotated[int, Field(ge=0, le=5000)]

    @property
    def size_multiple(self) -> int:
        halvings = 4 + self.pool + (self.bottleneck == "halve")  # stem, pool, three stages, bottleneck
        return 2**halvings

    @model_validator(mode="after")
    def _check_encoder(self) -> "ResNet34UNetParams":
        if self.encoder is None:
            return self
        if self.start is not None:
            raise ValueError("resnet34_unet.start and resnet34_unet.encoder both name initial weights; set one to null")
        for key, needed in {"width": 64, "padding": "zeros", "block_stride": 1, "shortcut": 1}.items():
            if (value := getattr(self, key)) != needed:
                raise ValueError(
                    f"resnet34_unet.{key} is {value}, but resnet34_unet.encoder loads weights of torchvision's "
                    f"ResNet-34, which need {key}: {needed}"
                )
        return self

    @model_validator(mode="after")
    def _check_decoder(self) -> "ResNet34UNetParams":
        if self.concatenate == "after":
            return self
        if self.bottleneck == "halve":
            raise ValueError(
                "resnet34_unet.concatenate is before, but with bottleneck halve the decoder starts at 1/64 of the "
                "image, where the encoder has no map; choose another bottleneck or concatenate: after"
            )
        if self.last_step == "stage1":
            raise ValueError("resnet34_unet.last_step is stage1, which needs concatenate: after")
        if self.last_step != "none" and not self.pool:
            raise ValueError(
                "resnet34_unet.pool is false and concatenate is before, so the step of stage 1 already reaches the "
                f"size of the image; set last_step to none instead of {self.last_step}"
            )
        return self


@dataclass(frozen=True)
class Network:
    """One entry of the registry.

    Attributes:
        class_path: module below `petseg.models` and class, such as `unet.UNet`.
        params: class of its section in params.yaml, which has the name of the entry.
        label: the name in text and figures.
        colors: of its lines and labels, #rrggbb, on light and on dark backgrounds. The two here are blue and orange of
            Okabe and Ito's palette, which can be distinguished with every kind of color blindness.
    """

    class_path: str
    params: type[NetworkParams]
    label: str
    colors: tuple[str, str]


NETWORKS: dict[str, Network] = {
    "unet": Network("unet.UNet", UNetParams, "UNet", ("#0072b2", "#56b4e9")),
    "resnet34_unet": Network("resnet34_unet.ResNet34UNet", ResNet34UNetParams, "ResNet34-UNet", ("#d55e00", "#ff9550")),
}
