"""The evaluate stage on a fake network and three images, without DVC."""

import json
import runpy
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from petseg import losses, models
from petseg.compute import Plan
from petseg.config import params
from petseg.config.networks import NETWORKS
from petseg.data import fingerprint
from petseg.data.pack import original_bits
from petseg.evaluation import tables
from petseg.evaluation.reliability import Reliability
from petseg.models import weights
from petseg.runtime.errors import DataError
from support.paths import COMMITTED, ROOT

PLAN = Plan(torch.device("cpu"), "fp32", channels_last=False, compiled=False, workers=0)
SIZES = [(90, 70), (64, 64), (40, 100)]  # width, height


class RightHalf(nn.Module):
    """Predicts pet in the right half: strongly in the right quarter, weakly left of it."""

    def forward(self, pixels):
        logits = torch.full((len(pixels), 1, *pixels.shape[2:]), -1.0)
        logits[..., 32:48], logits[..., 48:] = 0.5, 2
        return logits


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """The stage's functions, in a folder with params.yaml and a test split whose pets are the right halves."""
    monkeypatch.setitem(sys.modules, "_here", ModuleType("_here"))  # it would take over the signals of this process
    monkeypatch.setenv("PETSEG_DEVICE", "cpu")
    monkeypatch.setenv("PETSEG_LOCKS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(COMMITTED.read_text())
    rng = np.random.default_rng(0)
    trimaps = np.full((3, 64, 64), 2, np.uint8)
    trimaps[:, :, 32:] = 1
    for split in ("train", "valid", "test"):
        (tmp_path / "data/packed" / split).mkdir(parents=True)
        np.save(f"data/packed/{split}/images.npy", rng.integers(0, 256, (3, 64, 64, 3), np.uint8))
        np.save(f"data/packed/{split}/trimaps.npy", trimaps)
    halves = [np.where(np.arange(width) >= width / 2, 1, 2).astype(np.uint8) for width, _ in SIZES]
    originals = [np.tile(half, (height, 1)) for half, (_, height) in zip(halves, SIZES, strict=True)]
    Path("data/packed/test/originals.bits").write_bytes(b"".join(map(original_bits, originals)))
    rows = [(f"cat_{i}", "test", "cat", "cat", *size) for i, size in enumerate(SIZES)]
    rows.append(("dog_1", "train", "dog", "dog", 8, 8))
    columns = ["name", "split", "breed", "species", "width", "height"]
    pd.DataFrame(rows, columns=columns).to_csv("data/splits.csv", index=False)
    return runpy.run_path(str(ROOT / "stages/evaluate.py"))


def evaluate(stage, network, p):
    """The stage's scores of a network that stands in for UNet, with temperature 2."""
    record = weights.Record(p.training("unet").flat(), "", None, 2.0, 0.9, "unknown")
    table = pd.read_csv("data/splits.csv").query("split == 'test'")
    return stage["evaluate"](network, p, PLAN, table, record, Path("predictions"))


@pytest.mark.parametrize(
    ("flips", "columns", "dice"),
    [("false", [*range(32, 64)], 1), ("true", [*range(16), *range(48, 64)], 2 * 16 / (32 + 32))],
)
def test_flips_are_applied_if_enabled(stage, flips, columns, dice):
    p = params.load(overrides=[f"evaluate.flips={flips}"])
    scored = evaluate(stage, RightHalf(), p)
    assert np.flatnonzero(scored.masks[0, 0]).tolist() == columns
    assert tables.main_scores(scored)["dice"] == pytest.approx(dice)
    logits, truth = RightHalf()(torch.zeros(3, 3, 64, 64)), torch.zeros(3, 1, 64, 64)
    truth[..., 32:] = 1
    if flips == "true":
        logits = (logits + logits.flip(-1)) / 2
    assert scored.loss == pytest.approx(losses.build(p.loss)(logits, truth).item())
    expected = Reliability.measure(logits.numpy() / 2, truth.numpy() > 0).scores()
    assert scored.calibrated.scores() == pytest.approx(expected)


@pytest.mark.parametrize(("micro_batch", "sizes"), [("null", [3]), (2, [2, 1])])
def test_batches_are_those_of_validation(stage, micro_batch, sizes):
    p = params.load(overrides=["batch_size=4", f"train.micro_batch={micro_batch}"])
    seen = []

    class Counting(RightHalf):
        def forward(self, pixels):
            seen.append(len(pixels))
            return super().forward(pixels)

    evaluate(stage, Counting(), p)
    assert sorted(seen, reverse=True) == sizes


def test_damaged_trimaps_are_not_scored(stage):
    np.save("data/packed/test/trimaps.npy", np.zeros((3, 64, 64), np.uint8))
    with pytest.raises(DataError, match=r"test/trimaps\.npy holds values other than 1, 2 and 3"):
        evaluate(stage, RightHalf(), params.load())


def test_outputs_of_the_stage(stage, monkeypatch, capsys):
    p, data_sha256 = params.load(), fingerprint.training_data("data/packed")
    network = RightHalf()
    for name in NETWORKS:
        record = weights.Record(p.training(name).flat(), data_sha256, None, 1.0, 0.9, "unknown")
        weights.save(f"models/{name}.safetensors", network.state_dict(), record)
    monkeypatch.setattr(models, "build", lambda name, p: network)
    monkeypatch.setattr(sys, "argv", ["evaluate.py"])
    stage["main"]()

    metrics = json.loads(Path("metrics/test.json").read_text())
    assert list(metrics) == list(NETWORKS)
    for scores in metrics.values():
        assert scores["dice"] == 1
        assert "dice_high" not in scores  # three images
        assert 0.99 < scores["dice_original"] <= 1
        assert scores["loss"] > 0
        assert len(scores) <= 8
    scores = pd.read_csv("plots/test/scores.csv")
    others = ("", "_iou", "_dice_original", "_nsd")
    assert list(scores.columns) == ["name", "breed", "species", *(f"{n}{each}" for n in NETWORKS for each in others)]
    assert list(scores["name"]) == ["cat_0", "cat_1", "cat_2"]
    assert list(pd.read_csv("plots/test/dice.csv")["network"]) == list(NETWORKS)
    for name in NETWORKS:
        for number, size in enumerate(SIZES):
            with Image.open(f"data/predictions/{name}/cat_{number}.png") as mask:
                assert (mask.mode, mask.size) == ("1", size)
                assert np.asarray(mask)[0].tolist() == [x >= size[0] / 2 for x in range(size[0])]
    conventions = pd.read_csv("plots/test/conventions.csv")
    assert len(conventions) == 6 * len(NETWORKS)
    assert conventions["nsd"].notna().sum() == len(NETWORKS)
    assert list(pd.read_csv("plots/test/calibration.csv")["state"]) == ["raw", "calibrated"] * len(NETWORKS)
    assert set(pd.read_csv("plots/test/reliability.csv")["network"]) == set(NETWORKS)
    arrays = np.load("data/scores.npz")
    assert arrays["unet/network/foreground/dice"].tolist() == [1, 1, 1]
    assert all(values.shape == (3,) for values in arrays.values())
    facts = json.loads(Path("data/evaluate.run.json").read_text())
    assert facts["device"] == "cpu"
    assert facts["precision"] == dict.fromkeys(NETWORKS, p.train.precision)
    assert capsys.readouterr().out.count("test Dice 1.0000\n") == len(NETWORKS)


def test_empty_truths_and_constant_predictions_are_reported(stage, monkeypatch, capsys):
    trimaps = np.load("data/packed/test/trimaps.npy")
    trimaps[1] = 2
    np.save("data/packed/test/trimaps.npy", trimaps)

    class Nothing(RightHalf):
        def forward(self, pixels):
            return super().forward(pixels) * 0 - 1

    def load_networks(p):
        records = {n: weights.Record(p.training(n).flat(), "", None, 1.0, 0.9, "unknown") for n in NETWORKS}
        return {name: (Nothing(), record) for name, record in records.items()}

    monkeypatch.setitem(stage["main"].__globals__, "load_networks", load_networks)
    monkeypatch.setattr(sys, "argv", ["evaluate.py"])
    stage["main"]()
    printed = capsys.readouterr()
    assert "unet: test Dice 0.3333; 1 truths are empty, over the others it is 0.0000" in printed.out
    assert "warning: unet predicts no pet in any test image" in printed.err
