"""params.yaml as typed, frozen values.

Every error is a `ParamsError` (exit status 2) that names the key and, for an unknown key, the nearest valid one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, create_model, field_validator, model_validator

from petseg.config.networks import NETWORKS, SHARED, BatchSize, Epochs, LearningRate, NetworkParams, Section
from petseg.config.overrides import DEFAULT, Source, combine, override, read, recipe_path, sentence
from petseg.config.training import LossParams, OptimizerParams, ScheduleParams, Training, TrainParams
from petseg.runtime.errors import ParamsError

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
MD5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]

TRAINING_KEYS = ("image_size", "batch_size", "epochs", "lr", "seed", "train", "loss", "optimizer", "schedule")


class ArchiveDigests(Section):
    """MD5 of the two archives of Oxford-IIIT Pet."""

    images: MD5
    annotations: MD5


class DataParams(Section):
    """The section `data`: where the images come from."""

    source: Literal["synthetic", "oxford", "folder"]
    url: tuple[str, ...]
    md5: ArchiveDigests
    path: str
    images: Annotated[int, Field(ge=40, le=100_000)]
    seed: Seed

    @field_validator("url", mode="before")
    @classmethod
    def _accept_string_or_list(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


class SplitParams(Section):
    """The section `split`: how the images are divided into train, valid and test."""

    rule: Literal["report", "stratified"]
    seed: Seed
    exclude: tuple[str, ...]
    group: Literal["none", "duplicates"]
    limit: Annotated[int, Field(ge=1)] | None

    @field_validator("exclude", mode="before")
    @classmethod
    def _accept_list(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value


class EvaluateParams(Section):
    """The section `evaluate`: how the test split is scored."""

    flips: bool
    bootstrap: Annotated[int, Field(ge=100, le=1_000_000)]


class Params(Section):
    """All of params.yaml. `load` returns an instance that also has a section for each entry of `NETWORKS`."""

    image_size: Annotated[int, Field(ge=64, le=2048)]
    batch_size: BatchSize
    epochs: Epochs
    lr: LearningRate
    seed: Seed
    data: DataParams
    split: SplitParams
    train: TrainParams
    loss: LossParams
    optimizer: OptimizerParams
    schedule: ScheduleParams
    evaluate: EvaluateParams

    def network(self, name: str) -> NetworkParams:
        """The section of a network, by its key in `NETWORKS`."""
        return getattr(self, name)

    @model_validator(mode="after")
    def _check_networks(self) -> "Params":
        sizes = self.train.sizes(self.image_size)
        for name in NETWORKS:
            if needed := self.network(name).size_error(self.image_size):
                raise ValueError(f"image_size is {self.image_size}, but {name} needs {needed}")
            for size in sizes[:-1]:
                if needed := self.network(name).size_error(size):
                    raise ValueError(f"train.progressive gives the size {size}, but {name} needs {needed}")
            training = self.training(name)
            if error := self.loss.error(self.network(name).classes):
                raise ValueError(f"{name}.classes is {self.network(name).classes}, but {error}")
            if error := self.schedule.error(training.epochs):
                raise ValueError(f"{name} trains for {training.epochs} epochs, but {error}")
        return self

    def training(self, name: str) -> Training:
        """The effective values for the training of network `name`."""
        own = self.network(name)
        return Training(
            network=name,
            image_size=self.image_size,
            seed=self.seed,
            **self.train.model_dump(),
            loss=self.loss,
            optimizer=self.optimizer,
            schedule=self.schedule,
            **{key: getattr(self, key) if getattr(own, key) is None else getattr(own, key) for key in SHARED},
            **own.fine_tuning(),
            **own.architecture(),
        )

    def describe(self, name: str) -> str:
        """One line for people: the values of `SHARED` for network `name`, with the key of each that is not shared."""
        own, used = self.network(name), self.training(name)
        places = {key: "" if getattr(own, key) is None else f" ({name}.{key})" for key in SHARED}
        return ", ".join(f"{key} {getattr(used, key)}{place}" for key, place in places.items())


_File = create_model("Params", __base__=Params, **{name: (entry.params, ...) for name, entry in NETWORKS.items()})  # pyright: ignore[reportCallIssue, reportArgumentType]

KEYS = tuple(_File.model_fields)


def load(path: str | Path = "params.yaml", recipe: str | None = None, overrides: Sequence[str] = ()) -> Params:
    """Reads parameters: the file, then the recipe, then `overrides`; later ones win.

    Args:
        path: a YAML file with every key of `Params`.
        recipe: NAME of `recipes/NAME.yaml` beside `path`, which holds some of the keys; `default` changes nothing.
        overrides: `key=value` with a dotted key and a YAML value, as `dvc exp run -S` takes them.

    Raises:
        ParamsError: a file is missing or not YAML; a key is unknown or missing; a value has the wrong type or is out of
            range; values contradict each other. The sentence names the file or the override.

    Example:
        >>> load(recipe="a", overrides=["lr=1e-4"]).training("unet").lr
        0.0001
    """
    path = Path(path)
    sources = [read(path)]
    if recipe is not None and recipe != DEFAULT:
        sources.append(read(recipe_path(path.parent, recipe)))
    return check([*sources, *map(override, overrides)])


def check(sources: Sequence[Source]) -> Params:
    """Validates a whole params.yaml with what overrides it, later sources winning; raises as `load`."""
    try:
        return _File.model_validate(combine(sources))
    except ValidationError as error:
        raise ParamsError(sentence(error, sources, _File)) from None
