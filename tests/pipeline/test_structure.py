"""What the pipeline is made of: stages, their dependencies and parameters, and the numbers they write."""

import json
import runpy
import sys
import time

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
import yaml
from PIL import Image

from petseg import models
from petseg.config import params
from petseg.config.networks import NETWORKS
from support.project import ROOT, STAGES, metrics, ran

# They carry what is computed, and decide none of it.
PLUMBING = {
    "__init__.py",
    "claims.py",
    "errors.py",
    "files.py",
    "machine.py",
    "memory.py",
    "data/download.py",  # what it brings is verified by MD5
    "data/pool.py",
    "data/progress.py",
    "data/transfer.py",
    "training/checkpoints.py",  # tests/training: a training that goes on ends in the same bytes
    "training/interrupts.py",
    "training/launch.py",
    "training/progress.py",
}


def test_repro_makes_everything_and_then_does_nothing(project):
    for path in ("data/raw/annotations/test.txt", "data/packed/test/images.npy", "data/predictions.npz"):
        assert (project.folder / path).exists()
    assert (project.folder / "report/index.html").read_text().startswith("<!doctype html>")
    assert set(metrics(project)) == {"unet", "resnet34_unet"}
    assert metrics(project, "train_unet")["unet"]["parameters"] > 10_000
    assert project.git("status", "--porcelain") == ""  # all that is not committed is ignored
    times = []
    for _ in range(3):
        start = time.perf_counter()
        assert ran(project.dvc("repro")) == []
        times.append(time.perf_counter() - start)
    assert min(times) < 3
    assert "up to date" in project.dvc("status")


def test_every_module_that_a_stage_imports_is_a_dependency_and_nothing_else_is(project):
    pipeline = yaml.safe_load((project.folder / "dvc.yaml").read_text())["stages"]
    for stage in STAGES:
        network = pipeline[stage].get("vars", [{"network": ""}])[0]["network"]
        log = project.imports / (f"train.py-{network}" if network else f"{stage}.py")
        source = project.folder.resolve() / "src/petseg"
        imported = {line.removeprefix(f"{source}/") for line in log.read_text().split("\n") if line}
        assert not any(name.startswith("/") for name in imported), "another checkout's code was used"
        listed = [each.replace("${network}", network) for each in pipeline[stage]["deps"]]
        listed = [each.removeprefix("src/petseg/") for each in listed if each.startswith("src/petseg/")]
        covered = {name for name in imported if any(name == each or name.startswith(f"{each}/") for each in listed)}
        missing = {name for name in imported - covered if name not in PLUMBING and not name.endswith("/__init__.py")}
        assert not missing, f"{stage} imports {missing}"
        unused = [each for each in listed if not any(n == each or n.startswith(f"{each}/") for n in imported)]
        assert not unused, f"{stage} lists {unused}"


class Asked(Exception):  # noqa: N818, it is no error
    """Carries the keys that a stage asked `stage.for_stage` for."""


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_watches_exactly_the_parameters_that_dvc_records(project, monkeypatch, stage):
    pipeline = yaml.safe_load((project.folder / "dvc.yaml").read_text())["stages"][stage]
    network = pipeline.get("vars", [{"network": ""}])[0]["network"]
    script = ROOT / "stages" / ("train.py" if network else f"{stage}.py")

    def ask(*keys):
        raise Asked(*keys)

    monkeypatch.chdir(project.folder)
    monkeypatch.syspath_prepend(ROOT / "stages")
    monkeypatch.setattr(sys, "argv", [str(script), *filter(None, [network])])
    monkeypatch.setattr(params, "for_stage", ask)
    with pytest.raises(Asked) as asked:
        runpy.run_path(str(script))["main"]()
    assert sorted(asked.value.args) == sorted(key.replace("${network}", network) for key in pipeline["params"])


def test_the_numbers_are_those_of_the_weights(project, monkeypatch):
    """Everything once more, by hand, from the weights and the raw trimaps."""
    monkeypatch.chdir(project.folder)
    p, table = params.load(), pd.read_csv("data/splits.csv")
    test_names = table[table["split"] == "test"]["name"]
    scores = pd.read_csv("plots/test/scores.csv").set_index("name")
    masks = np.load("data/predictions.npz")
    assert list(masks["name"]) == list(test_names) == list(scores.index)
    for name in NETWORKS:
        network = models.build(name, p)
        network.load_state_dict(safetensors.torch.load_file(f"models/{name}.safetensors"))
        network.eval()

        def dices(split, network=network):
            images, trimaps = (np.load(f"data/packed/{split}/{kind}.npy") for kind in ("images", "trimaps"))
            with torch.no_grad():
                logits = network(torch.from_numpy(images).permute(0, 3, 1, 2).float())[:, 0]
            overlap = ((logits.numpy() > 0) & (trimaps != 2)).sum(axis=(1, 2))
            sizes = (logits.numpy() > 0).sum(axis=(1, 2)) + (trimaps != 2).sum(axis=(1, 2))
            return logits, 2 * overlap / np.maximum(sizes, 1)

        curve = pd.read_csv(f"plots/train/{name}.csv")
        trained, tested = metrics(project, f"train_{name}")[name], metrics(project)[name]
        best = curve.loc[curve["valid_dice"].idxmax()]
        assert len(curve) == p.epochs
        assert trained["epoch"] == best["epoch"]
        assert trained["train_loss"] == pytest.approx(best["train_loss"], abs=1e-4)
        assert trained["valid_dice"] == pytest.approx(dices("valid")[1].mean(), abs=1e-3)

        logits, per_image = dices("test")
        assert 0.1 < per_image.mean() < 0.99
        assert tested["dice"] == pytest.approx(per_image.mean(), abs=1e-3)
        assert tested["dice_low"] < tested["dice"] < tested["dice_high"]
        assert np.abs(scores[name].to_numpy() - per_image).max() < 0.02
        assert (masks[name] == (logits.numpy() > 0)).mean() > 0.999
        original = []
        for test_name, one in zip(test_names, logits, strict=True):
            truth = np.asarray(Image.open(f"data/raw/annotations/trimaps/{test_name}.png")) != 2
            large = np.asarray(Image.fromarray(one.numpy()).resize(truth.shape[::-1], Image.Resampling.BILINEAR)) > 0
            original.append(2 * (large & truth).sum() / (large.sum() + truth.sum()))
        assert tested["dice_original"] == pytest.approx(np.mean(original), abs=3e-3)


def test_editing_one_network_never_retrains_the_other(project):
    project.edit("src/petseg/models/resnet34_unet.py", "class ResNet34UNet", "# a comment\nclass ResNet34UNet")
    status = project.dvc("status")
    assert "train_resnet34_unet:" in status
    assert "evaluate:" in status
    assert "train_unet:" not in status
    assert ran(project.dvc("repro", "--dry")) == ["train_resnet34_unet", "evaluate"]
    project.restore()


def test_equal_runs_give_equal_bytes(project):
    names = ["models/unet.safetensors", "metrics/train_unet.json", "plots/train/unet.csv"]
    before = {name: (project.folder / name).read_bytes() for name in names}
    for name in names:
        (project.folder / name).unlink()
    project.run("python", "stages/train.py", "unet")
    assert {name: (project.folder / name).read_bytes() for name in names} == before
    project.restore()


def test_the_readmes_commands_exist():
    text = (ROOT / "README.md").read_text()
    for command in ("make repro", "make test", "dvc exp run -S lr=1e-4", "dvc metrics diff", "dvc plots show"):
        assert command in text


def test_the_committed_results_belong_to_the_committed_parameters_and_are_good():
    locked = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]["report"]["params"]["params.yaml"]
    assert params.Params.model_validate(locked | {"lr": float(locked["lr"])}) == params.load(ROOT / "params.yaml")
    scores = json.loads((ROOT / "metrics/test.json").read_text())
    assert min(scores["unet"]["dice"], scores["resnet34_unet"]["dice"]) >= 0.90
