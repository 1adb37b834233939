"""The structure of the pipeline: stages, their dependencies and parameters, the rooms of the code, the numbers."""

import ast
import json
import re
import runpy
import signal
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
import yaml
from PIL import Image

from petseg import models
from petseg.config import params
from petseg.config import stage as config_stage
from petseg.config.networks import NETWORKS
from petseg.config.overrides import Source
from support.paths import ROOT
from support.project import STAGES, metrics, ran

SOURCE = ROOT / "src/petseg"
LEVELS = (  # a module imports from its own level or from lower ones
    {"runtime"},
    {"config"},
    {"models", "data", "losses", "metrics", "optim"},
    {"batches", "compute"},
    {"training", "evaluation"},
    {"report", "audit", "importing", "inference", "recipes", "experiments", "doctor"},
    {"cli", "__main__", "stages"},
)


def read_pipeline() -> dict[str, dict]:
    """The stages of dvc.yaml, with the name of the network filled in."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for definition in stages.values():
        network = definition.get("vars", [{"network": ""}])[0]["network"]
        definition["network"] = network
        for key in ("deps", "params", "outs", "metrics", "plots"):
            paths = [next(iter(path)) if isinstance(path, dict) else path for path in definition.get(key, [])]
            definition[key] = [path.replace("${network}", network) for path in paths]
    return stages


PIPELINE = read_pipeline()


def recorded(record: Path, stage: str, kind: str) -> set[str]:
    """What a stage did according to support/sitecustomize.py: the paths of its `import` or `read` lines."""
    network = PIPELINE[stage]["network"]
    log = record / (f"train.py-{network}" if network else f"{stage}.py")
    lines = [line.split(" ", 1) for line in log.read_text().splitlines()]
    return {path for each, path in lines if each == kind}


def is_below(path: str, listed: str) -> bool:
    return path == listed or path.startswith(f"{listed}/")


def holds_code(path: Path) -> bool:
    """Whether a package can change a result: it has more than a docstring and dunder names such as `__version__`.

    `petseg` itself has only `petseg.load`, for users.
    """
    if path == SOURCE / "__init__.py":
        return False
    rest = [node for node in ast.parse(path.read_text()).body if not isinstance(node, ast.Expr)]
    return not all(isinstance(node, ast.Assign) and node.targets[0].id.startswith("__") for node in rest)


def test_repro_makes_everything_and_then_does_nothing(project):
    for path in ("data/raw/annotations/test.txt", "data/packed/test/images.npy", "data/scores.npz"):
        assert (project.folder / path).exists()
    assert (project.folder / "report/index.html").read_text().startswith("<!doctype html>")
    assert set(metrics(project)) == set(NETWORKS)
    assert metrics(project, "train_unet")["unet"]["parameters"] > 10_000
    assert project.git("status", "--porcelain") == ""  # everything that is not committed is ignored
    assert ran(project.dvc("repro")) == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_lists_exactly_the_modules_that_it_imports(finished, record, stage):
    folder = finished.folder.resolve()
    imported = {str(Path(path).relative_to(folder)) for path in recorded(record, stage, "import")}
    assert imported
    listed = [path for path in PIPELINE[stage]["deps"] if path.startswith(("src/", "stages/"))]
    assert PIPELINE[stage]["cmd"].split()[2] in [Path(path).name for path in listed if path.startswith("stages/")]
    assert not [path for path in listed if is_below(path, "src/petseg/runtime")]
    needed = {
        path
        for path in imported
        if not is_below(path, "src/petseg/runtime") and (Path(path).name != "__init__.py" or holds_code(ROOT / path))
    }
    check_list(listed, needed, [path for path in listed if path.startswith("src/")], imported)


def check_list(listed, needed, needs_use, used):
    """Checks that dvc.yaml lists what a stage needs, and that the stage uses what must be used."""
    missing = {path for path in needed if not any(is_below(path, each) for each in listed)}
    assert not missing, "the stage needs them, and dvc.yaml does not list them"
    unused = [each for each in needs_use if not any(is_below(path, each) for path in used)]
    assert not unused, "dvc.yaml lists them, and the stage does not use them"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_lists_exactly_the_data_that_it_reads(finished, record, stage):
    definition = PIPELINE[stage]
    listed = [path for path in definition["deps"] if not path.startswith(("src/", "stages/", "${"))]
    outputs = definition["outs"] + definition["metrics"] + definition["plots"]
    read = {path for path in recorded(record, stage, "read") if not any(is_below(path, each) for each in outputs)}
    read = {path for path in read if ".part" not in path}  # outputs before they are complete
    if stage == "evaluate":  # safetensors does not open files through Python
        read |= {f"models/{name}.safetensors" for name in NETWORKS}
    check_list(listed, read, listed, read)


class Asked(Exception):  # noqa: N818, it is not an error
    """Carries the keys that a stage passed to `for_stage`."""


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_watches_exactly_the_parameters_that_dvc_records(finished, monkeypatch, stage):
    network = PIPELINE[stage]["network"]
    script = ROOT / "stages" / ("train.py" if network else f"{stage}.py")

    def ask(*keys):
        raise Asked(*keys)

    monkeypatch.chdir(finished.folder)
    monkeypatch.syspath_prepend(ROOT / "stages")
    monkeypatch.setattr(sys, "argv", [str(script), *filter(None, [network])])
    monkeypatch.setattr(signal, "signal", lambda *arguments: None)  # stages set handlers when they are imported
    monkeypatch.setattr(config_stage, "for_stage", ask)
    with pytest.raises(Asked) as asked:
        runpy.run_path(str(script))["main"]()
    assert sorted(asked.value.args) == sorted(PIPELINE[stage]["params"])


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_in_the_plots_of_both_networks(name):
    for plot in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]:
        [(title, definition)] = plot.items()
        assert definition["y"][f"plots/train/{name}.csv"] == [f"train_{title}", f"valid_{title}"]


def test_imports_point_down_and_nothing_imports_dvc():
    for path in [*SOURCE.rglob("*.py"), *(ROOT / "stages").glob("*.py")]:
        room = "stages" if path.parent.name == "stages" else path.relative_to(SOURCE).with_suffix("").parts[0]
        for name in imports(path):
            assert name.split(".")[0] not in ("dvc", "dvclive"), f"{path} imports {name}"
            if name.startswith("petseg.") and room != "__init__":
                assert level(name.split(".")[1]) <= level(room), f"{path} imports {name}"


def imports(path: Path) -> set[str]:
    """The full names of everything that a module imports, also within functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names - {"petseg.__version__"}


def level(room: str) -> int:
    return next(number for number, rooms in enumerate(LEVELS) if room in rooms)


def test_the_numbers_are_those_of_the_weights(finished, monkeypatch):
    """Computes everything again, with little code, from the weights and the raw trimaps."""
    monkeypatch.chdir(finished.folder)
    p, table = params.load(), pd.read_csv("data/splits.csv")
    test_names = table[table["split"] == "test"]["name"]
    scores = pd.read_csv("plots/test/scores.csv").set_index("name")
    assert list(test_names) == list(scores.index)
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
        trained, tested = metrics(finished, f"train_{name}")[name], metrics(finished)[name]
        best = curve.loc[curve["valid_dice"].idxmax()]
        assert len(curve) == p.epochs
        assert trained["epoch"] == best["epoch"]
        assert trained["train_loss"] == pytest.approx(best["train_loss"], abs=1e-4)
        assert trained["valid_dice"] == pytest.approx(dices("valid")[1].mean(), abs=1e-3)
        for split in ("train", "valid"):  # both weights are 1
            parts = curve[f"{split}_cross_entropy"] + curve[f"{split}_soft_dice"]
            np.testing.assert_allclose(curve[f"{split}_loss"], parts, rtol=1e-4)

        logits, per_image = dices("test")
        assert 0.1 < per_image.mean() < 0.99
        assert tested["dice"] == pytest.approx(per_image.mean(), abs=1e-3)
        assert tested["dice_low"] < tested["dice"] < tested["dice_high"]
        assert np.abs(scores[name].to_numpy() - per_image).max() < 0.02
        original = []
        for test_name, one in zip(test_names, logits, strict=True):
            truth = np.asarray(Image.open(f"data/raw/annotations/trimaps/{test_name}.png")) != 2
            large = np.asarray(Image.fromarray(one.numpy()).resize(truth.shape[::-1], Image.Resampling.BILINEAR)) > 0
            original.append(2 * (large & truth).sum() / (large.sum() + truth.sum()))
            predicted = np.asarray(Image.open(f"data/predictions/{name}/{test_name}.png"))
            assert (predicted == large).mean() > 0.98
        assert tested["dice_original"] == pytest.approx(np.mean(original), abs=3e-3)


def test_the_machine_and_the_precision_of_training_and_scoring_are_recorded(finished):
    scoring = json.loads((finished.folder / "data/evaluate.run.json").read_text())
    assert scoring["precision"] == dict.fromkeys(NETWORKS, "fp32")
    for name in NETWORKS:
        training = json.loads((finished.folder / f"models/{name}.run.json").read_text())
        assert {key: training[key] for key in scoring} == scoring | {"precision": "fp32"}


def test_editing_one_network_never_retrains_the_other(project):
    project.edit("src/petseg/models/resnet34_unet.py", "class ResNet34UNet", "# a comment\nclass ResNet34UNet")
    assert ran(project.dvc("repro", "--dry")) == ["train_resnet34_unet", "evaluate"]


def test_the_targets_of_make_that_the_documentation_names_exist():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for page in ("README.md", "CONTRIBUTING.md"):
        assert set(re.findall(r"^make (\w+)", (ROOT / page).read_text(), re.MULTILINE)) <= set(targets)


def test_the_committed_results_belong_to_the_committed_parameters_and_are_good():
    locked = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]["report"]["params"]["params.yaml"]
    assert params.check([Source("dvc.lock", locked | {"lr": float(locked["lr"])})]) == params.load(ROOT / "params.yaml")
    scores = json.loads((ROOT / "metrics/test.json").read_text())
    assert min(scores[name]["dice"] for name in NETWORKS) >= 0.90
