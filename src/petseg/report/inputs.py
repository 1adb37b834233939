"""Reads what the earlier stages wrote."""

import json
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from petseg.config.networks import NETWORKS
from petseg.config.params import Params
from petseg.runtime.errors import DataError, PetsegError

Record = dict[str, Any]  # one JSON object


@dataclass(frozen=True)
class Inputs:
    """Everything the report shows. Each dict has the keys of `NETWORKS`.

    Attributes:
        params: params.yaml.
        splits: data/splits.csv, one row per image.
        test: plots/test/scores.csv, one row per test image: name, breed, species, and each network's Dice.
        images: (N, S, S, 3) uint8, memory-mapped; trimaps and masks have the same order.
        trimaps: (N, S, S) uint8, memory-mapped.
        masks: data/predictions.npz, (N, S, S) bool by network.
        curves: plots/train/NAME.csv, one row per epoch.
        scores: metrics/test.json.
        trained: metrics/train_NAME.json.
        training: models/NAME.run.json: machine, versions, times, commit and initial weights of the training.
        evaluation: data/evaluate.run.json: machine and versions of the evaluation.
    """

    params: Params
    splits: pd.DataFrame
    test: pd.DataFrame
    images: np.ndarray
    trimaps: np.ndarray
    masks: dict[str, np.ndarray]
    curves: dict[str, pd.DataFrame]
    scores: dict[str, Record]
    trained: dict[str, Record]
    training: dict[str, Record]
    evaluation: dict[str, Record]


def load(params: Params, root: str | Path = ".") -> Inputs:
    """Reads the outputs of split, train and evaluate below `root`.

    Raises:
        PetsegError: a file is missing; the message names the stage that writes it.
        DataError: a file is damaged, or the test images of the files differ.
    """
    root, memory_map = Path(root), partial(np.load, mmap_mode="r")
    splits = _read(root / "data/splits.csv", "split", _table)
    test = _read(root / "plots/test/scores.csv", "evaluate", _table)
    masks = _read(root / "data/predictions.npz", "evaluate", _arrays)
    of_split = splits.loc[splits["split"] == "test", "name"].tolist()
    if not of_split == test["name"].tolist() == masks.pop("name").tolist():
        raise DataError(
            "plots/test/scores.csv or data/predictions.npz is not of the test images in data/splits.csv; run "
            "`dvc repro evaluate`."
        )
    return Inputs(
        params=params,
        splits=splits,
        test=test,
        images=_read(root / "data/packed/test/images.npy", "split", memory_map),
        trimaps=_read(root / "data/packed/test/trimaps.npy", "split", memory_map),
        masks=masks,
        curves={name: _read(root / f"plots/train/{name}.csv", f"train_{name}", _table) for name in NETWORKS},
        scores=read_scores(root),
        trained={
            name: _read(root / f"metrics/train_{name}.json", f"train_{name}", partial(_trained, name))
            for name in NETWORKS
        },
        training={name: _read(root / f"models/{name}.run.json", f"train_{name}", _training) for name in NETWORKS},
        evaluation=_read(root / "data/evaluate.run.json", "evaluate", _evaluation),
    )


def read_scores(root: str | Path = ".") -> dict[str, Record]:
    """Reads metrics/test.json below `root`, by network; raises as `load`."""
    return _read(Path(root) / "metrics/test.json", "evaluate", _json)


def _read(path: Path, stage: str, reader: Callable[[Path], Any]) -> Any:
    """Reads a file; an error names the stage that writes it."""
    try:
        return reader(path)
    except FileNotFoundError:
        raise PetsegError(f"{path} is missing; run `dvc repro {stage}` first.") from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be used ({error}); delete it and run `dvc repro {stage}`.") from None


def _table(path: Path) -> pd.DataFrame:
    """Reads a CSV file; names such as `12` or `NA` stay text."""
    return pd.read_csv(path, dtype=dict.fromkeys(("name", "breed", "species"), str), keep_default_na=False)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with open(path, "rb") as file:
        return dict(np.load(file))


def _json(path: Path) -> Record:
    return json.loads(path.read_bytes())


def _trained(name: str, path: Path) -> Record:
    record = _json(path)[name]
    return record | {"temperature": record["temperature"]}  # KeyError: version 0.1 did not write it


def _training(path: Path) -> Record:
    run = _json(path)
    start = run["start_sha256"]
    return run | {
        "started": datetime.fromisoformat(run["started"]),
        "time": timedelta(seconds=round(run["seconds"])),
        "initial_weights": "random" if start is None else f"SHA-256 {start[:8]}…",
    }


def _evaluation(path: Path) -> dict[str, Record]:
    run = _json(path)
    return {name: run | {"precision": run["precision"][name]} for name in NETWORKS}
