"""Reads what the earlier stages wrote, and checks that the files belong together."""

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, field_validator
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from petseg.config.networks import NETWORKS
from petseg.config.params import Params
from petseg.runtime.errors import DataError, PetsegError

CURVES = tuple(
    f"{split}_{name}" for split in ("train", "valid") for name in ("loss", "cross_entropy", "soft_dice", "dice")
)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class TestScores(_Record):
    """One network in metrics/test.json: the loss, and means over the test images in [0, 1].

    `dice_low` and `dice_high` bound the 95% confidence interval of `dice`.
    """

    __test__ = False  # its name looks like a test class to pytest

    loss: float
    dice: float
    dice_low: float
    dice_high: float
    iou: float
    precision: float
    recall: float
    dice_original: float


class TrainScores(_Record):
    """One network in metrics/train_NAME.json: its best epoch (from 1), and the number of trainable parameters."""

    epoch: int
    valid_dice: float
    parameters: int


class Machine(_Record):
    """The machine that ran a stage, and the versions it ran with."""

    device: str
    device_name: str
    threads: int
    python: str
    torch: str
    numpy: str
    albumentations: str


class TrainRun(Machine):
    """models/NAME.run.json: `started` is in UTC, `data_sha256` the fingerprint of the packed train and valid data."""

    processes: int
    precision: str
    started: datetime
    seconds: float
    images_per_second: float
    data_sha256: str


class EvaluationRun(Machine):
    """data/evaluate.run.json: `precision` is the numeric precision of each network."""

    precision: dict[str, str]

    @field_validator("precision")
    @classmethod
    def _check_networks(cls, precision: dict[str, str]) -> dict[str, str]:
        if absent := [name for name in NETWORKS if name not in precision]:
            raise ValueError(f"it has no {absent[0]}")
        return precision


@dataclass(frozen=True)
class Inputs:
    """Everything the report shows. Each dict has the keys of `NETWORKS`.

    Attributes:
        params: params.yaml.
        splits: data/splits.csv, one row per image.
        test: one row per test image, in the order of the packed arrays: name, breed, species, and each network's Dice.
        images: (N, S, S, 3) uint8, memory-mapped.
        trimaps: (N, S, S) uint8, memory-mapped.
        predictions: path of the predicted masks, see `read_masks`.
        curves: plots/train/NAME.csv, one row per epoch.
    """

    params: Params
    splits: pd.DataFrame
    test: pd.DataFrame
    images: np.ndarray
    trimaps: np.ndarray
    predictions: Path
    curves: dict[str, pd.DataFrame]
    scores: dict[str, TestScores]
    trained: dict[str, TrainScores]
    train_runs: dict[str, TrainRun]
    evaluation_run: EvaluationRun


def load(params: Params, root: str | Path = ".") -> Inputs:
    """Reads the outputs of split, train and evaluate below `root`. Images are not read into memory.

    Raises:
        PetsegError: a file is missing; the message names the stage that writes it.
        DataError: a file is damaged or does not belong to the others.
    """
    root = Path(root)
    splits = _read_table(root / "data/splits.csv", "split", text=("name", "split", "breed", "species"))
    test = splits.loc[splits["split"] == "test", ["name", "breed", "species"]].reset_index(drop=True)
    packed, shape = root / "data/packed/test", (len(test), params.image_size, params.image_size)
    trained, curves, runs = {}, {}, {}
    for name in NETWORKS:
        metrics = _read_json(root / f"metrics/train_{name}.json", f"train_{name}", _by_network(TrainScores, [name]))
        trained[name] = metrics[name]
        curves[name] = _read_curve(root, name, params, trained[name])
        runs[name] = _read_json(root / f"models/{name}.run.json", f"train_{name}", TrainRun)
    return Inputs(
        params=params,
        splits=splits,
        test=_add_dice(test, root / "plots/test/scores.csv"),
        images=_read_array(packed / "images.npy", (*shape, 3)),
        trimaps=_read_array(packed / "trimaps.npy", shape),
        predictions=root / "data/predictions.npz",
        curves=curves,
        scores=read_scores(root),
        trained=trained,
        train_runs=runs,
        evaluation_run=_read_json(root / "data/evaluate.run.json", "evaluate", EvaluationRun),
    )


def read_scores(root: str | Path = ".") -> dict[str, TestScores]:
    """Reads metrics/test.json below `root`, by network.

    Raises:
        PetsegError: the file is missing or damaged.
    """
    return _read_json(Path(root) / "metrics/test.json", "evaluate", _by_network(TestScores, NETWORKS))


def read_masks(inputs: Inputs, network: str, rows: Iterable[int]) -> dict[int, np.ndarray]:
    """Reads some predicted masks of one network: (S, S) bool each, by row of the test split.

    Raises:
        PetsegError: the file is missing, damaged, or of other images.
    """
    with _reading(inputs.predictions, "evaluate"), np.load(inputs.predictions) as file:
        if file["name"].tolist() != list(inputs.test["name"]):
            raise ValueError("its images are not the test images of data/splits.csv")
        masks = file[network]
        if masks.dtype != np.bool_ or masks.shape != inputs.trimaps.shape:
            raise ValueError(f"{network} is {masks.dtype} {masks.shape}, not bool {inputs.trimaps.shape}")
    return {row: masks[row] for row in rows}


def _add_dice(test: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Returns the rows of `test` with each network's Dice from plots/test/scores.csv."""
    scores = _read_table(path, "evaluate", text=("name",), numbers=tuple(NETWORKS))
    with _reading(path, "evaluate"):
        if sorted(scores["name"]) != sorted(test["name"]):
            raise ValueError("its images are not the test images of data/splits.csv")
    return test.merge(scores[["name", *NETWORKS]], on="name")


def _read_curve(root: Path, name: str, params: Params, trained: TrainScores) -> pd.DataFrame:
    """Reads the training curves of a network, and checks them against params.yaml and its metrics."""
    path, stage, training = root / f"plots/train/{name}.csv", f"train_{name}", params.training(name)
    table = _read_table(path, stage, numbers=("epoch", "lr", *CURVES))
    with _reading(path, stage):
        stopped_early = training.patience is not None and len(table) < training.epochs
        if len(table) != training.epochs and not stopped_early:
            raise ValueError(f"it has {len(table)} epochs, params.yaml says {training.epochs}")
        best = table.loc[table["epoch"] == trained.epoch, "valid_dice"]
        if len(best) != 1 or not np.allclose(best, trained.valid_dice):
            raise ValueError(f"valid_dice of epoch {trained.epoch} is not that of metrics/train_{name}.json")
    return table


def _read_table(path: Path, stage: str, text: tuple[str, ...] = (), numbers: tuple[str, ...] = ()) -> pd.DataFrame:
    """Reads a CSV with at least these columns and one row; text such as `12` or `NA` stays text, numbers are finite."""
    columns: dict[Any, Any] = {**dict.fromkeys(text, str), **dict.fromkeys(numbers, float)}
    with _reading(path, stage):
        table = pd.read_csv(path, dtype=columns, keep_default_na=False)
        if absent := [column for column in columns if column not in table.columns]:
            raise ValueError(f"it has no column {absent[0]}")
        if table.empty:
            raise ValueError("it has no rows")
        for column in numbers:
            if not np.isfinite(table[column]).all():
                raise ValueError(f"{column} is not a finite number in every row")
    return table


def _read_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    with _reading(path, "split"):
        array = np.load(path, mmap_mode="r")
        if array.shape != shape:
            raise ValueError(f"its shape is {array.shape}, but data/splits.csv and params.yaml say {shape}")
    return array


def _by_network(kind: type[_Record], names: Iterable[str]) -> Any:
    """Returns the type of a JSON object that has a record for each of the networks `names`."""
    return TypedDict("ByNetwork", dict.fromkeys(names, kind))  # pyright: ignore[reportArgumentType]


def _read_json(path: Path, stage: str, kind: Any) -> Any:
    with _reading(path, stage):
        return TypeAdapter(kind).validate_json(path.read_bytes())


@contextmanager
def _reading(path: Path, stage: str) -> Iterator[None]:
    """Turns an error while reading `path` into one that names the stage that writes it."""
    try:
        yield
    except FileNotFoundError:
        raise PetsegError(f"{path} is missing; run `dvc repro {stage}` first.") from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).strip()
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            reason = ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
        raise DataError(f"{path} cannot be used ({reason}); delete it and run `dvc repro {stage}`.") from None
