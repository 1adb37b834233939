"""A small project with everything that the earlier stages write, made of drawn ellipses and made-up scores."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from petseg.config import params

NETWORKS = ("unet", "resnet34_unet")
BREEDS = (("Bengal", "cat"), ("Birman", "cat"), ("beagle", "dog"), ("great_pyrenees", "dog"))


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def rows_of_test(count: int, breeds: tuple[tuple[str, str], ...]) -> pd.DataFrame:
    """Rows of splits.csv for `count` test images, the breeds in turn."""
    chosen = [breeds[index % len(breeds)] for index in range(count)]
    names = [f"{breed}_{index}" for index, (breed, _) in enumerate(chosen)]
    columns = {"name": names, "split": "test", "breed": [b for b, _ in chosen], "species": [s for _, s in chosen]}
    return pd.DataFrame({**columns, "width": 300, "height": 200})


def pictures(count: int, size: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`count` images with an ellipse, and their trimaps with a border."""
    y, x = np.mgrid[:size, :size] / size
    images = random.integers(0, 120, (count, size, size, 3), dtype=np.uint8)
    trimaps = np.full((count, size, size), 2, dtype=np.uint8)
    for index in range(count):
        cx, cy = random.uniform(0.35, 0.65, 2)
        distance = np.hypot((x - cx) / 0.3, (y - cy) / 0.22)
        trimaps[index][distance < 1] = 3
        trimaps[index][distance < 0.85] = 1
        images[index][distance < 1] += 110
    return images, trimaps


def curve(epochs: int, speed: float) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    fall = np.exp(-speed * epoch)
    losses = {"train_loss": 1.4 * fall + 0.1, "valid_loss": 1.4 * fall + 0.2}
    return pd.DataFrame({"epoch": epoch, "lr": 1e-3, **losses, "train_dice": 1 - fall, "valid_dice": 0.95 - fall})


def write_results(root: Path, test: pd.DataFrame, images: np.ndarray, trimaps: np.ndarray, epochs: int = 6) -> None:
    """All files that the report reads, below `root`, which has a params.yaml; the predictions are the shifted truth."""
    random = np.random.default_rng(1)
    others = test.head(3).assign(split=["train", "train", "valid"][: len(test)])
    others["name"] = "other_" + others["name"]
    packed = root / "data/packed/test"
    packed.mkdir(parents=True)
    pd.concat([others, test]).to_csv(root / "data/splits.csv", index=False)
    np.save(packed / "images.npy", images)
    np.save(packed / "trimaps.npy", trimaps)
    truth = trimaps != 2
    masks = {name: np.roll(truth, shift, axis=2) for name, shift in zip(NETWORKS, (3, -1), strict=True)}
    np.savez_compressed(root / "data/predictions.npz", name=test["name"].to_numpy(dtype=str), **masks)
    scores = test[["name", "breed", "species"]].copy()
    test_scores = {}
    for place, name in enumerate(NETWORKS):
        both = (masks[name] & truth).sum(axis=(1, 2)) - random.integers(0, 20, len(test))
        scores[name] = 2 * both / (masks[name].sum(axis=(1, 2)) + truth.sum(axis=(1, 2)))
        keys = ("dice", "dice_low", "dice_high", "iou", "precision", "recall", "dice_original")
        test_scores[name] = {key: 0.9 - 0.0123 * number - 0.0517 * place for number, key in enumerate(keys)}
        test_scores[name]["dice"] = float(scores[name].mean())
        speed = 0.3 + 0.2 * place
        (root / "plots/train").mkdir(parents=True, exist_ok=True)
        curve(epochs, speed).to_csv(root / f"plots/train/{name}.csv", index=False)
        best = {"valid_dice": 0.8754, "epoch": epochs, "train_loss": 0.21, "valid_loss": 0.32, "train_dice": 0.9}
        write_json(root / f"metrics/train_{name}.json", {name: {**best, "parameters": 1942289}})
        facts = {"device": "cpu", "device_name": "A Processor", "threads": 2, "python": "3.11.7", "torch": "2.15.0"}
        facts |= {"processes": 1, "precision": "bf16"}
        times = {"started": "2026-02-03T04:05:06Z", "seconds": 95.4, "images_per_second": 61.27}
        write_json(root / f"models/{name}.run.json", {**facts, **times, "data_sha256": "ab" * 32})
    (root / "plots/test").mkdir(parents=True)
    scores.to_csv(root / "plots/test/scores.csv", index=False)
    write_json(root / "metrics/test.json", test_scores)


@pytest.fixture
def project(tmp_path):
    """Makes a project folder: `project(count=12, breeds=BREEDS, epochs=6)` returns its path and its Params."""

    def make(count=12, breeds=BREEDS, epochs=6):
        text = (Path(__file__).resolve().parents[2] / "params.yaml").read_text(encoding="utf-8")
        text = re.sub(r"(?m)^epochs: \d+", f"epochs: {epochs}", text)
        (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
        values = params.load(tmp_path / "params.yaml")
        images, trimaps = pictures(count, values.image_size, np.random.default_rng(0))
        write_results(tmp_path, rows_of_test(count, breeds), images, trimaps, epochs)
        return tmp_path, values

    return make
