"""What the page is made of, read from the earlier stages' files and checked to belong together."""

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from petseg.config.networks import NETWORKS
from petseg.config.params import Params
from petseg.runtime.errors import DataError, PetsegError

R = TypeVar("R", bound=BaseModel)

LABELS = {"unet": "UNet", "resnet34_unet": "ResNet34-UNet"}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class TestScores(_Record):
    """One network in metrics/test.json: means over the test images, each in [0, 1]; low and high bound 95 % of Dice."""

    __test__ = False  # no test class, though pytest would take it for one by its name

    dice: float
    dice_low: float
    dice_high: float
    iou: float
    precision: float
    recall: float
    dice_original: float


class TrainScores(_Record):
    """metrics/train_NAME.json, under NAME: the best valid Dice, its epoch (from 1), learnt numbers."""

    valid_dice: float
    epoch: int
    parameters: int


class RunFacts(_Record):
    """models/NAME.run.json: the machine that trained, when (ISO 8601, UTC), for how long, and on which data."""

    device: str
    device_name: str
    threads: int
    processes: int
    precision: str
    python: str
    torch: str
    started: datetime
    seconds: float
    images_per_second: float
    data_sha256: str


@dataclass(frozen=True)
class Inputs:
    """Everything that the page shows. Dicts have the keys `unet` and `resnet34_unet`.

    Attributes:
        params: params.yaml.
        splits: data/splits.csv, a row an image.
        test: the test images in the packed order (row number = index of `images`), with columns name, breed, species
            and each network's Dice.
        images: uint8 (N, S, S, 3), memory-mapped: the packed test images.
        trimaps: uint8 (N, S, S), memory-mapped.
        predictions: path of the predicted masks; `read_masks` reads some of them.
        curves: plots/train/NAME.csv, a row an epoch.
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
    runs: dict[str, RunFacts]


def load(params: Params, root: str | Path = ".") -> Inputs:
    """Reads the outputs of split, train and evaluate below `root`; images stay on disk.

    Raises:
        PetsegError: a file is missing (the sentence names the stage that writes it).
        DataError: a file is damaged, or the files are of different runs.
    """
    root = Path(root)
    splits = read_table(root / "data/splits.csv", "split", dict.fromkeys(("name", "split", "breed", "species"), str))
    rows = splits[splits["split"] == "test"].reset_index(drop=True)
    per_image = read_table(root / "plots/test/scores.csv", "evaluate", {"name": str, **dict.fromkeys(NETWORKS, float)})
    packed = root / "data/packed/test"
    inputs = Inputs(
        params=params,
        splits=splits,
        test=rows[["name", "breed", "species"]].merge(per_image[["name", *NETWORKS]], on="name", how="left"),
        images=_read_array(packed / "images.npy"),
        trimaps=_read_array(packed / "trimaps.npy"),
        predictions=root / "data/predictions.npz",
        curves={name: _read_curve(root / f"plots/train/{name}.csv", name) for name in NETWORKS},
        scores=read_scores(root),
        trained={name: _read_trained(root, name) for name in NETWORKS},
        runs={name: _read_json(root / f"models/{name}.run.json", RunFacts, f"train_{name}") for name in NETWORKS},
    )
    _check_same_images(inputs, list(rows["name"]))
    for name, curve in inputs.curves.items():
        training = params.training(name)
        stopped_early = training.patience is not None and len(curve) < training.epochs
        if len(curve) != training.epochs and not stopped_early:
            raise DataError(
                f"plots/train/{name}.csv has {len(curve)} epochs, params.yaml says {training.epochs}; run "
                f"`dvc repro train_{name}`."
            )
    return inputs


def _read_trained(root: Path, name: str) -> TrainScores:
    class Scores(_Record):
        network: TrainScores = Field(alias=name)

    return _read_json(root / f"metrics/train_{name}.json", Scores, f"train_{name}").network


def read_scores(root: str | Path = ".") -> dict[str, TestScores]:
    """metrics/test.json below `root`, by network.

    Raises:
        PetsegError: the file is missing or damaged.
    """

    class Scores(_Record):
        unet: TestScores
        resnet34_unet: TestScores

    scores = _read_json(Path(root) / "metrics/test.json", Scores, "evaluate")
    return {name: getattr(scores, name) for name in NETWORKS}


def read_table(path: Path, stage: str, columns: dict[str, type]) -> pd.DataFrame:
    """A CSV with at least `columns` of these types and one row; text stays text, also `12` or `NA`.

    Raises:
        PetsegError: the file is missing; run `stage`.
        DataError: it is no such CSV.
    """
    try:
        table = pd.read_csv(path, dtype=columns, keep_default_na=False)
    except FileNotFoundError:
        raise _missing(path, stage) from None
    except (ValueError, pd.errors.ParserError) as error:
        raise _damaged(path, stage, str(error)) from None
    absent = [column for column in columns if column not in table.columns]
    if absent or table.empty:
        raise _damaged(path, stage, f"it has no column {absent[0]}" if absent else "it has no rows")
    return table


def read_masks(path: Path, network: str, rows: Iterable[int]) -> dict[int, np.ndarray]:
    """Some predicted masks of `network`, bool (S, S) each, by row.

    The file is read as a stream, one mask at a time: at full size all masks of a network are 240 MB.

    Raises:
        PetsegError: the file is missing or damaged.
    """
    wanted, masks = set(rows), {}
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{network}.npy") as member:
            np.lib.format.read_magic(member)
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(member)
            if len(shape) != 3 or dtype != np.dtype(bool) or fortran_order:
                raise ValueError(f"{network} is no bool array of N x S x S in C order")
            for row in range(max(wanted) + 1):
                mask = member.read(shape[1] * shape[2])
                if row in wanted:
                    masks[row] = np.frombuffer(mask, dtype=bool).reshape(shape[1:])
    except FileNotFoundError:
        raise _missing(path, "evaluate") from None
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise _damaged(path, "evaluate", str(error)) from None
    return masks


def _check_same_images(inputs: Inputs, names: list[str]) -> None:
    """The packed arrays, the scores and the predictions must be of the same test images, in one order."""
    count, size = len(names), inputs.params.image_size
    if inputs.images.shape != (count, size, size, 3) or inputs.trimaps.shape != (count, size, size):
        raise DataError(
            f"data/packed/test has images of {inputs.images.shape} and trimaps of {inputs.trimaps.shape}, but "
            f"data/splits.csv and params.yaml say {count} test images of {size} pixels; run `dvc repro split`."
        )
    if inputs.test[list(NETWORKS)].isna().any(axis=None) or len(inputs.test) != count:
        raise DataError("plots/test/scores.csv is not of the test images in data/splits.csv; run `dvc repro evaluate`.")
    try:
        with np.load(inputs.predictions) as file:
            predicted = file["name"].tolist()
    except FileNotFoundError:
        raise _missing(inputs.predictions, "evaluate") from None
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise _damaged(inputs.predictions, "evaluate", str(error)) from None
    if predicted != names:
        raise DataError("data/predictions.npz is not of the test images in data/splits.csv; run `dvc repro evaluate`.")


def _read_curve(path: Path, name: str) -> pd.DataFrame:
    numbers = dict.fromkeys(("train_loss", "valid_loss", "train_dice", "valid_dice"), float)
    return read_table(path, f"train_{name}", {"epoch": int, **numbers})


def _read_array(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r")
    except FileNotFoundError:
        raise _missing(path, "split") from None
    except (ValueError, EOFError) as error:
        raise _damaged(path, "split", str(error)) from None


def _read_json(path: Path, record: type[R], stage: str) -> R:
    try:
        return record.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise _missing(path, stage) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _damaged(path, stage, f"{where}: {first['msg']}" if where else first["msg"]) from None


def _missing(path: Path, stage: str) -> PetsegError:
    return PetsegError(f"{path} is missing; run `dvc repro {stage}` first.")


def _damaged(path: Path, stage: str, why: str) -> DataError:
    return DataError(f"{path} cannot be used ({why.strip()}); delete it and run `dvc repro {stage}`.")
