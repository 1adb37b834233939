"""Typed parameters: what params.yaml may hold, and the one way to read it.

Every error is a `ParamsError` (exit status 2) that names the key and, for a misspelt one, the nearest valid key.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from petseg.errors import ParamsError
from petseg.learning import Loss, Optimizer, Schedule, Train, Training
from petseg.networks import OWN, BatchSize, Epochs, LearningRate, ResNet34UNetParams, Section, UNetParams
from petseg.overrides import DEFAULT, Source, combined, override, read, recipe_path, sentence

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
MD5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]

NETWORKS = ("unet", "resnet34_unet")
LEARNING = ("image_size", "batch_size", "epochs", "lr", "seed", "train", "loss", "optimizer", "schedule")  # of all


class Archives(Section):
    """MD5 of the two archives of Oxford-IIIT Pet."""

    images: MD5
    annotations: MD5


class Data(Section):
    """Where the images come from."""

    source: Literal["synthetic", "oxford", "folder"]
    url: tuple[str, ...]
    md5: Archives
    path: str
    images: Annotated[int, Field(ge=40, le=100_000)]
    seed: Seed

    @field_validator("url", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


class Split(Section):
    """How trainval.txt is divided into train and valid."""

    rule: Literal["report", "stratified"]
    seed: Seed


class Evaluate(Section):
    """How the test split is scored."""

    flips: bool
    bootstrap: Annotated[int, Field(ge=100, le=1_000_000)]


class Params(Section):
    """All of params.yaml."""

    image_size: Annotated[int, Field(ge=64, le=2048)]
    batch_size: BatchSize
    epochs: Epochs
    lr: LearningRate
    seed: Seed
    data: Data
    split: Split
    train: Train
    loss: Loss
    optimizer: Optimizer
    schedule: Schedule
    unet: UNetParams
    resnet34_unet: ResNet34UNetParams
    evaluate: Evaluate

    @model_validator(mode="after")
    def _fits_networks(self) -> "Params":
        for name in NETWORKS:
            if needed := getattr(self, name).size_needed(self.image_size):
                raise ValueError(f"image_size is {self.image_size}, but {name} needs {needed}")
            training = self.training(name)
            if misfit := self.loss.misfit(training.classes):
                raise ValueError(f"{name}.classes is {training.classes}, but {misfit}")
            if misfit := self.schedule.misfit(training.epochs):
                raise ValueError(f"{name} trains for {training.epochs} epochs, but {misfit}")
        return self

    def training(self, name: str) -> Training:
        """The effective values for network `name`, `unet` or `resnet34_unet`."""
        own = getattr(self, name)
        shared = {key: getattr(self, key) for key in OWN}
        chosen = {key: value if getattr(own, key) is None else getattr(own, key) for key, value in shared.items()}
        return Training(
            network=name,
            image_size=self.image_size,
            seed=self.seed,
            **self.train.model_dump(),
            loss=self.loss,
            optimizer=self.optimizer,
            schedule=self.schedule,
            **chosen,
            **own.architecture(),
        )

    def origins(self, name: str) -> str:
        """One line for people: each value of network `name` that can be shared or its own, and which it is."""
        own, used = getattr(self, name), self.training(name)
        told = [
            f"{key} {getattr(used, key)} ({'shared' if getattr(own, key) is None else f'{name}.{key}'})" for key in OWN
        ]
        if used.micro_batch is not None:
            told.append(f"computed {used.micro_batch} images at once")
        return ", ".join(told)


def load(path: str | Path = "params.yaml", recipe: str | None = None, overrides: Sequence[str] = ()) -> Params:
    """Reads parameters: the file, then the recipe's overrides, then `overrides`, each later one winning.

    Args:
        path: a YAML file with every key of `Params`.
        recipe: NAME of `recipes/NAME.yaml` beside `path`, which holds some of the keys; `default` changes nothing.
        overrides: `key=value` with a dotted key and a YAML value, as `dvc exp run -S` takes them.

    Raises:
        ParamsError: a file is missing or no YAML; a key is unknown or missing; a value has the wrong type or range;
            values do not fit together. The sentence names the file or the override.
    """
    path = Path(path)
    sources = [read(path)]
    if recipe not in (None, DEFAULT):
        sources.append(read(recipe_path(path.parent, recipe)))
    return check([*sources, *map(override, overrides)])


def check(sources: Sequence[Source]) -> Params:
    """The typed parameters of a whole params.yaml and what changes it, each later source winning; raises as `load`."""
    try:
        return Params.model_validate(combined(sources))
    except ValidationError as error:
        raise ParamsError(sentence(error, sources, Params)) from None


@contextmanager
def for_stage(*keys: str, path: str | Path = "params.yaml") -> Iterator[Params]:
    """Yields the parameters, and refuses to end well if one of `keys` has changed in the file meanwhile.

    DVC writes a stage's parameters to dvc.lock after its command, as they are then (its issue 11058): without this
    check a result would be recorded under values that did not make it.

    Args:
        keys: the dotted keys that the stage names under `params` in dvc.yaml.

    Raises:
        ParamsError: the file was changed while the stage ran, or cannot be read.
    """
    params = load(path)
    yield params
    check_unchanged(params, keys, path)


def check_unchanged(params: Params, keys: Sequence[str], path: str | Path = "params.yaml") -> None:
    """Raises the ParamsError of `for_stage` if one of `keys` in the file is no longer as in `params`."""
    if what := change(params, keys, path):
        raise ParamsError(
            f"{what}; the result of this stage was not recorded. Run `dvc repro` for the new value, or put the old one "
            "back first."
        )


def change(params: Params, keys: Sequence[str], path: str | Path = "params.yaml") -> str | None:
    """What of `keys` in the file is no longer as in `params`, as the beginning of a sentence; None if nothing."""
    try:
        after = load(path).model_dump()
    except ParamsError as error:
        return f"{path} changed while this stage ran ({str(error).rstrip('.')})"
    before = params.model_dump()
    for key in keys:
        old, new = _pick(before, key), _pick(after, key)
        if old != new:
            return f"{path} changed while this stage ran: {_first_change(key, old, new)}"
    return None


def _first_change(key: str, old: object, new: object) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        name = next(name for name in old if old[name] != new[name])
        return _first_change(f"{key}.{name}", old[name], new[name])
    return f"{key} was {old} and is now {new}"


def _pick(values: dict, key: str) -> object:
    for part in key.split("."):
        values = values[part]
    return values
