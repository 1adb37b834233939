"""Typed parameters of training: loss, optimizer, schedule and what else both networks have in common.

A reader of params.yaml finds each key explained there.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from petseg.networks import BatchSize, Section

Weight = Annotated[float, Field(ge=0, le=100)]


class Train(Section):
    """What both networks' training has in common beside the top-level keys and the sections below."""

    augment: Literal["a", "b", "c", "d_elastic", "d_elastic_or_crop", "petseg", "none"]
    cutmix: Annotated[float, Field(ge=0, le=1)]
    select: Literal["valid_dice", "valid_loss"]
    patience: Annotated[int, Field(ge=1, le=5000)] | None
    clip: Annotated[float, Field(ge=1e-3, le=1e3)] | None
    ema: Annotated[float, Field(gt=0, lt=1)] | None
    precision: Literal["auto", "fp32", "bf16"]
    micro_batch: BatchSize | None
    deterministic: bool
    compile: bool


class Loss(Section):
    """A weighted sum of losses, see `petseg.losses`."""

    bce: Weight
    cross_entropy: Weight
    dice: Weight
    dice_over: Literal["batch", "image"]
    smooth: Annotated[float, Field(ge=0, le=1000)]

    @model_validator(mode="after")
    def _there_is_one(self) -> "Loss":
        if self.bce + self.cross_entropy + self.dice == 0:
            raise ValueError("loss.bce, loss.cross_entropy and loss.dice are all 0, so nothing would be learnt")
        return self

    def misfit(self, classes: int) -> str | None:
        """Why a network of so many classes cannot be trained by this, as the end of a sentence; None if it can."""
        if classes == 2 and self.bce:
            return f"loss.bce is {self.bce:g}: binary cross entropy takes one logit, two take loss.cross_entropy"
        if classes == 1 and self.cross_entropy:
            return f"loss.cross_entropy is {self.cross_entropy:g}, which takes two logits; one takes loss.bce"
        return None


class Optimizer(Section):
    """How gradients become steps, see `petseg.optim`."""

    name: Literal["adam", "sgd"]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0, le=1)]
    decay: Literal["l2", "decoupled"]


class Schedule(Section):
    """What becomes of the learning rate, see `petseg.optim`."""

    name: Literal["constant", "cosine", "plateau", "one_cycle"]
    warm_up: Annotated[int, Field(ge=0, le=5000)]
    patience: Annotated[int, Field(ge=0, le=5000)]
    factor: Annotated[float, Field(gt=0, lt=1)]

    @model_validator(mode="after")
    def _one_warm_up(self) -> "Schedule":
        if self.name == "one_cycle" and self.warm_up:
            raise ValueError(f"schedule.warm_up is {self.warm_up}, but one_cycle warms up by itself; set it to 0")
        return self

    def misfit(self, epochs: int) -> str | None:
        """Why this makes no sense for so many epochs, as the end of a sentence; None if it does."""
        if self.name == "plateau" and epochs == 1:
            return "schedule.name is plateau, which compares epochs: there must be more than one"
        if self.warm_up and self.warm_up >= epochs:
            return f"schedule.warm_up is {self.warm_up}: it must be over before the training is"
        return None


class Training(Section):
    """What makes one network's weights: the shared values with the network's own put in.

    Beside the fields below, it has all keys of `Network.architecture`, `width` and so on.
    """

    model_config = ConfigDict(extra="allow")

    network: str  # one of NETWORKS
    image_size: int
    batch_size: int
    epochs: int
    lr: float
    seed: int
    augment: str
    cutmix: float
    select: str
    patience: int | None
    clip: float | None
    ema: float | None
    precision: str
    micro_batch: int | None
    deterministic: bool
    compile: bool
    loss: Loss
    optimizer: Optimizer
    schedule: Schedule

    def flat(self) -> dict[str, str | float | bool | None]:
        """Every value under its dotted key: `lr`, `loss.dice` and so on."""
        plain = self.model_dump()
        sections = {key: plain.pop(key) for key in ("loss", "optimizer", "schedule")}
        return plain | {f"{key}.{inner}": value for key in sections for inner, value in sections[key].items()}

    def parts(self, images: int) -> int:
        """How many parts so many images are divided into, at most `micro_batch` in each; but none holds a single image,
        on which batch norm cannot train.
        """
        return 1 if self.micro_batch is None else max(1, min(-(-images // self.micro_batch), images // 2))
