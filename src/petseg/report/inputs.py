"""Reads what the earlier stages wrote."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from petseg.audit.findings import Finding
from petseg.config.networks import NETWORKS
from petseg.config.params import Params
from petseg.data import splits
from petseg.runtime.errors import DataError, PetsegError

Record = dict[str, Any]  # one JSON object


@dataclass(frozen=True)
class Inputs:
    """Everything the report shows. Each dict has the keys of `NETWORKS`.

    Attributes:
        root: folder of the project, for the photographs, trimaps and predictions of the pictures shown.
        params: params.yaml.
        splits: data/splits.csv, one row per image.
        test: plots/test/scores.csv, one row per test image: name, breed, species, and each network's Dice.
        masks: data/predictions in the order of `test`, reduced to image_size, (N, S, S) bool by network.
        conventions: plots/test/conventions.csv: mean scores by network, size and border.
        calibration: plots/test/calibration.csv: scores of the probabilities by network and state, raw or calibrated.
        reliability: plots/test/reliability.csv: bins of the probabilities by network and state.
        findings: what `petseg audit` finds in data/raw.
        curves: plots/train/NAME.csv, one row per epoch.
        scores: metrics/test.json.
        trained: metrics/train_NAME.json.
        training: models/NAME.run.json: machine, versions, times, commit and initial weights of the training.
        evaluation: data/evaluate.run.json: machine and versions of the evaluation.
    """

    root: Path
    params: Params
    splits: pd.DataFrame
    test: pd.DataFrame
    masks: dict[str, np.ndarray]
    conventions: list[Record]
    calibration: list[Record]
    reliability: pd.DataFrame
    findings: tuple[Finding, ...]
    curves: dict[str, pd.DataFrame]
    scores: dict[str, Record]
    trained: dict[str, Record]
    training: dict[str, Record]
    evaluation: dict[str, Record]


def load(params: Params, findings: tuple[Finding, ...] = (), root: str | Path = ".") -> Inputs:
    """Reads the outputs of split, train and evaluate below `root`; `findings` come from an audit of its data.

    Raises:
        PetsegError: a file is missing; the message names the stage that writes it.
        DataError: a file is damaged, or the test images of the files differ.
    """
    root, size = Path(root), params.image_size
    table = _read(root / splits.TABLE, "split", _table)
    test = _read(root / "plots/test/scores.csv", "evaluate", _table)
    if table.loc[table["split"] == "test", "name"].tolist() != test["name"].tolist():
        raise DataError("plots/test/scores.csv is not of the test images in data/splits.csv; run `dvc repro evaluate`.")
    return Inputs(
        root=root,
        params=params,
        splits=table,
        test=test,
        masks={name: _masks(root / "data/predictions" / name, test["name"], size) for name in NETWORKS},
        conventions=_read(root / "plots/test/conventions.csv", "evaluate", pd.read_csv).to_dict("records"),
        calibration=_read(root / "plots/test/calibration.csv", "evaluate", pd.read_csv).to_dict("records"),
        reliability=_read(root / "plots/test/reliability.csv", "evaluate", pd.read_csv),
        findings=findings,
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
    except (ValueError, KeyError, EOFError, OSError) as error:
        raise DataError(f"{path} cannot be used ({error}); delete it and run `dvc repro {stage}`.") from None


def _table(path: Path) -> pd.DataFrame:
    """Reads a CSV file; names such as `12` or `NA` stay text."""
    return pd.read_csv(path, dtype=dict.fromkeys(("name", "breed", "species"), str), keep_default_na=False)


def _masks(folder: Path, names: Iterable[str], size: int) -> np.ndarray:
    """The predictions of one network, (N, size, size) bool."""
    return np.stack([_read(folder / f"{name}.png", "evaluate", partial(_mask, size=size)) for name in names])


def _mask(path: Path, size: int) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("L").resize((size, size), Image.Resampling.BOX)) > 127


def _json(path: Path) -> Record:
    return json.loads(path.read_bytes())


def _trained(name: str, path: Path) -> Record:
    record = _json(path)[name]
    return record | {"temperature": record["temperature"]}  # KeyError: version 0.1 did not write it


def _training(path: Path) -> Record:
    run = _json(path)
    return run | {
        "started": datetime.fromisoformat(run["started"]),
        "time": timedelta(seconds=round(run["seconds"])),
        "initial_weights": _initial_weights(run["start_sha256"], run["encoder"]),
    }


def _initial_weights(sha256: str | None, encoder: str | None) -> str:
    if sha256 is None:
        return "random"
    part = {None: "", "imagenet": "encoder: ResNet-34 trained on ImageNet, "}.get(encoder, f"encoder: {encoder}, ")
    return f"{part}SHA-256 {sha256[:8]}…"


def _evaluation(path: Path) -> dict[str, Record]:
    run = _json(path)
    return {name: run | {"precision": run["precision"][name]} for name in NETWORKS}
