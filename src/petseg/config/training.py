"""Parameters of training: loss, optimizer, schedule, and the effective values for one network.

params.yaml explains each key.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from petseg.config.networks import BatchSize, Section
from petseg.config.overrides import flatten

Weight = Annotated[float, Field(ge=0, le=100)]


class TrainParams(Section):
    """The section `train`."""

    augment: Literal["a", "b", "c", "d_elastic", "d_elastic_or_crop", "petseg", "none"]
    cutmix: Annotated[float, Field(ge=0, le=1)]
    progressive: Annotated[float, Field(ge=0.25, le=0.75, multiple_of=0.25)] | None
    select: Literal["valid_dice", "valid_loss"]
    patience: Annotated[int, Field(ge=1, le=5000)] | None
    clip: Annotated[float, Field(ge=1e-3, le=1e3)] | None
    ema: Annotated[float, Field(gt=0, lt=1)] | None
    precision: Literal["fp32", "bf16"]
    micro_batch: BatchSize | None
    deterministic: bool
    compile: bool

    def sizes(self, image_size: int) -> list[int]:
        """Heights and widths of the training images: `progressive` of `image_size` first, growing by quarters."""
        quarters = range(round(4 * (self.progressive or 1)), 5)
        return [image_size * each // 4 for each in quarters]


class LossParams(Section):
    """The section `loss`: a weighted sum of losses, see `petseg.losses`."""

    bce: Weight
    cross_entropy: Weight
    dice: Weight
    dice_over: Literal["batch", "image"]
    smooth: Annotated[float, Field(ge=0, le=1000)]

    @model_validator(mode="after")
    def _check_weights(self) -> "LossParams":
        if self.bce + self.cross_entropy + self.dice == 0:
            raise ValueError("loss.bce, loss.cross_entropy and loss.dice are all 0, so there is nothing to minimize")
        return self

    def error(self, classes: int) -> str | None:
        """Why this loss cannot train a network with `classes` logits, as the end of a sentence; None if it can."""
        if classes == 2 and self.bce:
            return f"loss.bce is {self.bce:g}: binary cross entropy takes one logit, two take loss.cross_entropy"
        if classes == 1 and self.cross_entropy:
            return f"loss.cross_entropy is {self.cross_entropy:g}, which takes two logits; one takes loss.bce"
        return None


class OptimizerParams(Section):
    """The section `optimizer`, see `petseg.optim`."""

    name: Literal["adam", "sgd"]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0, le=1)]
    decay: Literal["l2", "decoupled"]


class ScheduleParams(Section):
    """The section `schedule`: how the learning rate changes, see `petseg.optim`."""

    name: Literal["constant", "cosine", "plateau", "one_cycle"]
    warm_up: Annotated[int, Field(ge=0, le=5000)]
    patience: Annotated[int, Field(ge=0, le=5000)]
    factor: Annotated[float, Field(gt=0, lt=1)]

    @model_validator(mode="after")
    def _check_warm_up(self) -> "ScheduleParams":
        if self.name == "one_cycle" and self.warm_up:
            raise ValueError(f"schedule.warm_up is {self.warm_up}, but one_cycle has its own warm-up; set it to 0")
        return self

    def error(self, epochs: int) -> str | None:
        """Why this schedule does not fit a training of `epochs` epochs, as the end of a sentence; None if it does."""
        if self.name == "plateau" and epochs == 1:
            return "schedule.name is plateau, which compares epochs: there must be more than one"
        if self.warm_up and self.warm_up >= epochs:
            return f"schedule.warm_up is {self.warm_up}: it must end before the training does"
        return None


class Training(TrainParams):
    """Effective values for the training of one network: its own where it has them, else the shared ones.

    Besides the keys of `train` and the fields below, an instance has every key of `NetworkParams.architecture`, such as
    `width`.
    """

    model_config = ConfigDict(extra="allow")

    network: str  # key of NETWORKS
    image_size: int
    batch_size: int
    epochs: int
    lr: float
    seed: int
    loss: LossParams
    optimizer: OptimizerParams
    schedule: ScheduleParams
    start: str | None
    encoder: str | None = None
    encoder_lr: float = 1.0
    encoder_frozen: int = 0

    def size_at(self, epoch: int) -> int:
        """Height and width of the training images in an epoch, from 0.

        Each of `sizes` has an equal share of the epochs. The last epoch always has `image_size`.
        """
        sizes = self.sizes(self.image_size)
        return sizes[-1] if epoch == self.epochs - 1 else sizes[epoch * len(sizes) // self.epochs]

    def flat(self) -> dict[str, str | float | bool | None]:
        """Every value under its dotted key: `lr`, `loss.dice` and so on."""
        return flatten(self.model_dump())
