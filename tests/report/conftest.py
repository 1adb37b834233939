"""A small project with everything the report reads, made up so that no two numbers are equal."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import create_model

from petseg.config import params
from petseg.config.networks import NETWORKS, Network, UNetParams
from support.paths import COMMITTED

BREEDS = (("Bengal", "cat"), ("Birman", "cat"), ("beagle", "dog"), ("great_pyrenees", "dog"))
THIRD = Network("slim.Slim", UNetParams, "Slim & Co", ("#009e73", "#3ecf9f"))
ORIGINAL = ((48, 36), (30, 40), (44, 44))  # width and height of the photographs in turn
SCORES = ("dice", "dice_low", "dice_high", "iou", "dice_original", "nsd", "ece", "loss")
CONVENTIONS = ("dice", "iou", "precision", "recall", "boundary_iou", "nsd", "hd95")
COMMIT = "c0ffee" * 6 + "c0ff"
MACHINE = ("device", "device_name", "threads", "python", "torch", "numpy", "albumentations")


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)


def make_curve(epochs: int, place: int) -> pd.DataFrame:
    """plots/train/NAME.csv of the network at `place`."""
    epoch = np.arange(1, epochs + 1)
    columns = {f"{split}_{quantity}": 0.0 for split in ("train", "valid") for quantity in ("loss", "dice")}
    for number, name in enumerate(columns):
        columns[name] = 0.9 - np.exp(-(0.3 + 0.2 * place) * epoch) - 0.01 * number
    return pd.DataFrame({"epoch": epoch, **columns})


def machine(number: int) -> dict[str, str]:
    return {key: f"{key} {number}" for key in MACHINE}


def write_network(root: Path, name: str, place: int, epochs: int) -> None:
    """Writes the files of one training."""
    table = make_curve(epochs, place)
    write_csv(root / f"plots/train/{name}.csv", table)
    epoch = max(1, epochs - place)
    best = {"epoch": epoch, "valid_dice": table["valid_dice"][epoch - 1], "parameters": 1942289 + place}
    best["temperature"] = 1.5 + place / 8
    write_json(root / f"metrics/train_{name}.json", {name: best})
    facts = {"processes": 7 + place, "precision": ("bf16", "fp32", "fp16")[place], "seconds": 95.4 + 61 * place}
    facts |= {"started": f"2026-02-0{3 + place}T04:05:06+00:00", "images_per_second": 61.27 + place}
    facts |= {"data_sha256": f"{place}bcdef01" * 8, "commit": COMMIT, "start_sha256": None, "encoder": None}
    write_json(root / f"models/{name}.run.json", machine(place) | facts)


def write_packed(root: Path, split: str, random: np.random.Generator, count: int, size: int) -> None:
    """Writes the arrays of a split."""
    (root / f"data/packed/{split}").mkdir(parents=True)
    images = random.integers(0, 256, (count, size, size, 3), np.uint8)
    np.save(root / f"data/packed/{split}/images.npy", images)
    np.save(root / f"data/packed/{split}/trimaps.npy", random.integers(1, 4, (count, size, size), np.uint8))


def write_photograph(root: Path, name: str, random: np.random.Generator, size: tuple[int, int]) -> None:
    """Writes a photograph without loss, its trimap, and each network's prediction: the truth, moved."""
    width, height = size
    trimap = random.integers(1, 4, (height, width), np.uint8)
    files = {
        f"images/{name}.jpg": (random.integers(0, 256, (height, width, 3), np.uint8), "BMP"),
        f"annotations/trimaps/{name}.png": (trimap, "PNG"),
    }
    for path, (pixels, kind) in files.items():
        (root / "data/raw" / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / "data/raw" / path, kind)
    for place, network in enumerate(NETWORKS):
        (root / "data/predictions" / network).mkdir(parents=True, exist_ok=True)
        mask = np.roll(trimap != 2, 1 + place, axis=1)
        Image.fromarray(mask).save(root / "data/predictions" / network / f"{name}.png")


def write_results(root: Path, count: int, breeds: tuple[tuple[str, str], ...], size: int, epochs: int) -> None:
    """Writes everything the report reads below `root`, for `count` test images of `breeds` in turn."""
    random = np.random.default_rng(0)
    rows = [
        (f"{breed}_{i}", breed, species)
        for i, (breed, species) in enumerate(breeds[i % len(breeds)] for i in range(count))
    ]
    test = pd.DataFrame(rows, columns=["name", "breed", "species"])
    others = test.head(3).assign(split=["train", "train", "valid"][:count], name="other")
    write_csv(root / "data/splits.csv", pd.concat([others, test.assign(split="test")]))
    for split, images in (("train", others.query("split == 'train'")), ("valid", others.query("split == 'valid'"))):
        write_packed(root, split, random, len(images), size)
    write_packed(root, "test", random, count, size)
    for place, name in enumerate(test["name"]):
        write_photograph(root, name, random, ORIGINAL[place % len(ORIGINAL)])
    write_csv(root / "plots/test/scores.csv", test.assign(**{name: random.uniform(0.6, 1, count) for name in NETWORKS}))
    write_json(
        root / "metrics/test.json", {name: dict(zip(SCORES, random.random(8), strict=True)) for name in NETWORKS}
    )
    rows = [
        {"network": name, "size": size, "border": border, **{key: random.random() for key in CONVENTIONS}}
        for name in NETWORKS
        for size in ("network", "original")
        for border in ("foreground", "background", "ignored")
    ]
    write_csv(root / "plots/test/conventions.csv", pd.DataFrame(rows))
    rows = [
        {"network": name, "state": state, "ece": random.random(), "brier": random.random(), "nll": random.random()}
        for name in NETWORKS
        for state in ("raw", "calibrated")
    ]
    write_csv(root / "plots/test/calibration.csv", pd.DataFrame(rows))
    rows = [
        {"network": name, "state": state, "confidence": bin / 4, "accuracy": random.random(), "share": 0.25}
        for name in NETWORKS
        for state in ("raw", "calibrated")
        for bin in range(1, 5)
    ]
    write_csv(root / "plots/test/reliability.csv", pd.DataFrame(rows))
    precision = dict(zip(NETWORKS, ("fp32", "bf16", "tf32"), strict=False))
    write_json(root / "data/evaluate.run.json", machine(8) | {"precision": precision})
    for place, name in enumerate(NETWORKS):
        write_network(root, name, place, epochs)


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
        write_results(tmp_path, count, breeds, values.image_size, epochs)
        return tmp_path, values

    return make
