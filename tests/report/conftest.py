"""A small project with everything the report reads: ellipses as images, and made-up scores that all differ."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import create_model

from petseg.config import params
from petseg.config.networks import NETWORKS, Network, UNetParams
from support.paths import COMMITTED

BREEDS = (("Bengal", "cat"), ("Birman", "cat"), ("beagle", "dog"), ("great_pyrenees", "dog"))
THIRD = Network("slim.Slim", UNetParams, "Slim & Co", ("#009e73", "#3ecf9f"))


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def rows_of_test(count: int, breeds: tuple[tuple[str, str], ...]) -> pd.DataFrame:
    """Rows of splits.csv for `count` test images, breeds in turn."""
    chosen = [breeds[index % len(breeds)] for index in range(count)]
    names = [f"{breed}_{index}" for index, (breed, _) in enumerate(chosen)]
    columns = {"name": names, "split": "test", "breed": [b for b, _ in chosen], "species": [s for _, s in chosen]}
    return pd.DataFrame({**columns, "width": 300, "height": 200})


def ellipses(count: int, size: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`count` images of an ellipse, (count, size, size, 3) uint8, and their trimaps with a border."""
    y, x = np.mgrid[:size, :size] / size
    images = random.integers(0, 120, (count, size, size, 3), dtype=np.uint8)
    trimaps = np.full((count, size, size), 2, dtype=np.uint8)
    for image, trimap in zip(images, trimaps, strict=True):
        cx, cy = random.uniform(0.35, 0.65, 2)
        distance = np.hypot((x - cx) / 0.3, (y - cy) / 0.22)
        trimap[distance < 1] = 3
        trimap[distance < 0.85] = 1
        image[distance < 1] += 110
    return images, trimaps


def make_curve(epochs: int, place: int) -> pd.DataFrame:
    """plots/train/NAME.csv of the network at `place`; no two of its numbers are equal."""
    epoch = np.arange(1, epochs + 1)
    table = pd.DataFrame({"epoch": epoch, "lr": 1e-3})
    for number, split in enumerate(("train", "valid")):
        fall = np.exp(-(0.3 + 0.2 * place) * epoch)
        parts = {"loss": 1.4 * fall + 0.1, "cross_entropy": 0.8 * fall + 0.05, "soft_dice": fall, "dice": 0.97 - fall}
        table = table.assign(**{f"{split}_{name}": values - 0.01 * number for name, values in parts.items()})
    return table


def machine(number: int) -> dict[str, object]:
    keys = ("device", "device_name", "python", "torch", "numpy", "albumentations")
    return {key: f"{key} {number}" for key in keys} | {"threads": 2 + number}


def write_network(root: Path, name: str, place: int, epochs: int) -> dict[str, float]:
    """Writes all files of one network except its predictions; returns its scores in metrics/test.json, except Dice."""
    table = make_curve(epochs, place)
    (root / "plots/train").mkdir(parents=True, exist_ok=True)
    table.to_csv(root / f"plots/train/{name}.csv", index=False)
    epoch = max(1, epochs - place)
    best = {"epoch": epoch, "valid_dice": table["valid_dice"][epoch - 1], "parameters": 1942289 + place}
    write_json(root / f"metrics/train_{name}.json", {name: best})
    facts = {"processes": 7 + place, "precision": ("bf16", "fp32", "fp16")[place], "seconds": 95.4 + 61 * place}
    facts |= {"started": f"2026-02-0{3 + place}T04:05:06Z", "images_per_second": 61.27 + place}
    write_json(root / f"models/{name}.run.json", machine(place) | facts | {"data_sha256": f"{place}bcdef01" * 8})
    keys = ("loss", "dice_low", "dice_high", "iou", "precision", "recall", "dice_original")
    return {key: 0.9 - 0.0123 * number - 0.0517 * place for number, key in enumerate(keys)}


def write_results(root: Path, test: pd.DataFrame, images: np.ndarray, trimaps: np.ndarray, epochs: int) -> None:
    """Writes everything the report reads below `root`; a network's predictions are the ground truth, shifted."""
    packed = root / "data/packed/test"
    packed.mkdir(parents=True)
    others = test.head(3).assign(split=["train", "train", "valid"][: len(test)])
    others["name"] = "other_" + others["name"]
    pd.concat([others, test]).to_csv(root / "data/splits.csv", index=False)
    np.save(packed / "images.npy", images)
    np.save(packed / "trimaps.npy", trimaps)
    truth = trimaps != 2
    random, scores = np.random.default_rng(1), test[["name", "breed", "species"]].copy()
    masks, metrics = {}, {}
    for place, name in enumerate(NETWORKS):
        masks[name] = np.roll(truth, (3, -1, 5)[place], axis=2)
        overlap = (masks[name] & truth).sum(axis=(1, 2)) - random.integers(0, 20, len(test))
        scores[name] = 2 * overlap / (masks[name].sum(axis=(1, 2)) + truth.sum(axis=(1, 2)))
        metrics[name] = {"dice": scores[name].mean()} | write_network(root, name, place, epochs)
    (root / "plots/test").mkdir(parents=True)
    scores.to_csv(root / "plots/test/scores.csv", index=False)
    np.savez_compressed(root / "data/predictions.npz", name=test["name"].to_numpy(dtype=str), **masks)
    write_json(root / "metrics/test.json", metrics)
    precision = dict(zip(NETWORKS, ("fp32", "bf16", "tf32"), strict=False))
    write_json(root / "data/evaluate.run.json", machine(8) | {"precision": precision})


@pytest.fixture
def curve():
    return make_curve


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Makes a project folder: `project(count=12, breeds=BREEDS, epochs=6, networks=2)` returns its path and Params.

    With `networks` 1 or 3 the registry has one or three entries until the test ends.
    """

    def make(count=12, breeds=BREEDS, epochs=6, networks=2):
        text = re.sub(r"(?m)^  (lr|epochs|batch_size):.*", r"  \1:", COMMITTED.read_text(encoding="utf-8"))
        text = re.sub(r"(?m)^epochs: \d+", f"epochs: {epochs}", text)
        (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
        values = params.load(tmp_path / "params.yaml")
        if networks == 1:
            monkeypatch.delitem(NETWORKS, "resnet34_unet")
        if networks == 3:
            monkeypatch.setitem(NETWORKS, "slim", THIRD)
            wider = create_model("Wider", __base__=type(values), slim=(UNetParams, ...))
            slim = values.network("unet").model_copy(update={"lr": 0.125})
            values = wider.model_construct(**dict(values), slim=slim)
        images, trimaps = ellipses(count, values.image_size, np.random.default_rng(0))
        write_results(tmp_path, rows_of_test(count, breeds), images, trimaps, epochs)
        return tmp_path, values

    return make
