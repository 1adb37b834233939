"""The pipeline as its users drive it: the real `dvc` in a temporary git repository, with tiny settings.

One repository serves all tests of this file; each leaves it as the last commit has it.
"""

import html
import json
import re
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

from browser import dom, needs_chromium
from petseg import models, params
from project import ROOT, copy

STAGES = ["fetch_data", "split", "train_unet", "train_resnet34_unet", "evaluate", "report"]
# They carry what is computed, and decide none of it.
PLUMBING = {
    "__init__.py",
    "errors.py",
    "files.py",
    "machine.py",
    "data/download.py",  # what it brings is verified by MD5
    "data/pool.py",
    "data/progress.py",
    "data/transfer.py",
    "training/progress.py",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = copy(tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("site") / "site")
    project.commit("as it is")
    project.dvc("repro")
    project.commit("first results")
    return project


def ran(output):
    """The stages that a `dvc repro` or `dvc exp run` started, in order."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage '")]


def metrics(project, name="test"):
    return json.loads((project.folder / "metrics" / f"{name}.json").read_text())


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
    """Carries the keys that a stage asked `params.for_stage` for."""


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
    for name in params.NETWORKS:
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


def test_what_was_done_once_is_never_done_again(project):
    project.edit("params.yaml", "\nseed: 88", "\nseed: 89")
    assert ran(project.dvc("repro")) == STAGES[2:]
    project.edit("params.yaml", "\nseed: 89", "\nseed: 88")
    assert ran(project.dvc("repro")) == []
    assert project.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("\nlr: 5e-3", "\nlr: 5", "lr is 5"),
        ("\n  width: 8", "\n  widht: 8", "unet.widht is not a parameter; the nearest that is: unet.width."),
    ],
)
def test_after_a_mistake_everything_comes_back(project, old, new, words):
    kept = ["models/unet.safetensors", "metrics/train_unet.json", "plots/train/unet.csv"]
    before = {name: (project.folder / name).read_bytes() for name in kept}
    project.edit("params.yaml", old, new)
    output = project.dvc("repro", status=255)
    assert words in output
    assert "Traceback" not in output
    project.edit("params.yaml", new, old)
    assert ran(project.dvc("repro")) == []
    assert {name: (project.folder / name).read_bytes() for name in kept} == before
    assert project.git("status", "--porcelain") == ""


@pytest.mark.parametrize(("text", "value"), [("1e-4", 1e-4), ("1e-5", 1e-5)])
def test_another_learning_rate_retrains_both_and_fetches_and_splits_nothing(project, text, value):
    output = project.dvc("exp", "run", "-S", f"lr={text}", "--name", f"lr-{value:g}")
    assert ran(output) == STAGES[2:]
    assert f"lr {value:g} (shared)" in output
    row = next(row for row in experiments(project) if row["name"] == f"lr-{value:g}")
    assert row["params"]["lr"] == value
    assert row["unet"] == metrics(project)["unet"]["dice"]
    project.restore()


def experiments(project):
    """The rows of `dvc exp show`: name, parameters and UNet's test Dice."""
    table = json.loads(project.dvc("exp", "show", "--json"))
    for commit in table:
        for experiment in commit.get("experiments") or []:
            for revision in experiment["revs"]:
                data = revision["data"]
                dice = data["metrics"]["metrics/test.json"]["data"]["unet"]["dice"]
                yield {"name": revision["name"], "params": data["params"]["params.yaml"]["data"], "unet": dice}


def test_one_networks_own_parameter_retrains_that_network_alone(project):
    output = project.dvc("exp", "run", "-S", "unet.lr=2e-3", "--name", "unet-alone")
    assert ran(output) == ["train_unet", "evaluate", "report"]
    project.restore()


def test_a_queue_of_six(project):
    project.dvc("exp", "run", "--queue", "-S", "lr=1e-3,1e-4", "-S", "seed=range(0,3)", "--name", "grid")
    project.dvc("queue", "start")
    deadline = time.monotonic() + 360
    while time.monotonic() < deadline:
        states = [line.split()[-1] for line in project.dvc("queue", "status").splitlines() if " grid-" in line]
        if len(states) == 6 and not {"Queued", "Running"} & set(states):
            break
        time.sleep(2)
    assert states == ["Success"] * 6, project.dvc("queue", "status") + project.dvc(
        "queue", "logs", "grid-1", status=None
    )
    rows = {row["name"]: row for row in experiments(project) if row["name"].startswith("grid-")}
    assert sorted((row["params"]["lr"], row["params"]["seed"]) for row in rows.values()) == sorted(
        (lr, seed) for lr in (1e-3, 1e-4) for seed in range(3)
    )
    assert len({row["unet"] for row in rows.values()}) > 1


def test_metrics_between_commits_and_in_a_fresh_clone(project, tmp_path):
    before = metrics(project, "train_unet")
    project.dvc("exp", "run", "-S", "lr=2e-3", "--name", "lower")
    after = metrics(project, "train_unet")
    project.commit("lower lr")
    shown = json.loads(project.dvc("metrics", "show", "--json"))
    assert shown[""]["data"]["metrics/train_unet.json"]["data"] == after
    diff = json.loads(project.dvc("metrics", "diff", "HEAD~1", "HEAD", "--json"))["metrics/train_unet.json"]
    assert diff["unet.train_loss"]["old"] == before["unet"]["train_loss"]
    assert diff["unet.train_loss"]["new"] == after["unet"]["train_loss"]
    clone = tmp_path / "clone"
    project.git("clone", "--quiet", str(project.folder), str(clone))
    here, project.folder = project.folder, clone
    try:
        assert json.loads(project.dvc("metrics", "show", "--json")) == shown
        assert json.loads(project.dvc("metrics", "diff", "HEAD~1", "HEAD", "--json"))["metrics/train_unet.json"] == diff
        assert "file://" in project.dvc("plots", "show")
        assert "file://" in project.dvc("plots", "diff", "HEAD~1", "HEAD")
        for line in ("train_dice", "valid_loss", "dice_low"):
            assert line in (clone / "dvc_plots/index.html").read_text()
    finally:
        project.folder = here
        project.git("reset", "--quiet", "--hard", "HEAD~1")
        project.dvc("checkout", "--quiet", "--force")


TITLES = (
    "Dice over the epochs",
    "Loss over the epochs",
    "Test Dice with 95 % interval over images",
    "Dice of each test image with one network and the other",
    "Learning rate of unet",
    "Learning rate of resnet34_unet",
)


def drawn_marks(svg, kind):
    """Label and path of each mark of a Vega plot, `line mark` or `bar`."""
    found = re.findall(rf'<path aria-label="([^"]*)"[^>]*aria-roledescription="{kind}" d="([^"]*)"([^>]*)>', svg)
    assert all("NaN" not in path for _, path, _ in found)
    return found


@needs_chromium
def test_each_plot_is_drawn_without_a_network(project):
    project.dvc("plots", "show")
    text = dom(project.folder / "dvc_plots" / "index.html")
    plots = re.findall(r'<svg[^>]*class="marks".*?</svg>', text, re.DOTALL)
    plot_of = {title: next(plot for plot in plots if title in plot) for title in TITLES}
    assert len(plots) == len(TITLES)
    for title in TITLES[:2]:
        lines = drawn_marks(plot_of[title], "line mark")
        assert [path.count("L") for _, path, _ in lines] == [3] * 4  # four epochs
        for label, _, style in lines:
            assert ("#0072b2" in style) == ("network: unet" in label)
            assert ("#d55e00" in style) == ("network: resnet34_unet" in label)
            assert ('stroke-dasharray="6,4"' in style) == ("split: valid" in label)
        assert len({label.split("network")[1] for label, _, _ in lines}) == 4
    bars = drawn_marks(plot_of[TITLES[2]], "bar")
    told = {re.search(r"network: (\w+)", label)[1]: re.search(r"mean: ([\d.]+)", label)[1] for label, _, _ in bars}
    assert told == {name: f"{scores['dice']:.4f}" for name, scores in metrics(project).items()}
    heights = [float(re.search(r"v([\d.]+)h", path)[1]) for _, path, _ in bars]
    dices = [float(told[name]) for name in ("unet", "resnet34_unet")]
    assert heights[0] / heights[1] == pytest.approx(dices[0] / dices[1], rel=1e-3)
    pictures = re.findall(r'<img src="([^"]*)"', text)
    assert len(pictures) == 6
    assert all((project.folder / "dvc_plots" / picture).stat().st_size > 1000 for picture in pictures)


@needs_chromium
@pytest.mark.parametrize("width", [400, 1400])
def test_the_report_opens_offline_and_never_scrolls_sideways(project, tmp_path, width):
    report = (project.folder / "report" / "index.html").read_text()
    frame = tmp_path / "frame.html"  # a frame, since a headless window cannot be as narrow as a phone
    frame.write_text(
        f'<iframe srcdoc="{html.escape(report)}" width="{width}" height="800" style="border:0"></iframe>'
        "<script>onload = () => { const page = document.querySelector('iframe').contentDocument;"
        "const broken = [...page.images].filter(image => !image.naturalWidth).length;"
        "document.title = [page.documentElement.scrollWidth, page.images.length, broken].join(' ') }</script>"
    )
    scroll_width, images, broken = map(int, re.search(r"<title>(\d+) (\d+) (\d+)</title>", dom(frame)).groups())
    assert scroll_width <= width
    assert images > 20
    assert broken == 0


def test_editing_one_network_never_retrains_the_other(project):
    project.edit("src/petseg/models/resnet34_unet.py", "class ResNet34UNet", "# a comment\nclass ResNet34UNet")
    status = project.dvc("status")
    assert "train_resnet34_unet:" in status
    assert "evaluate:" in status
    assert "train_unet:" not in status
    assert ran(project.dvc("repro", "--dry")) == ["train_resnet34_unet", "evaluate"]
    project.restore()


def test_parameters_that_change_while_a_stage_runs_are_not_recorded(project):
    """DVC's open bug 11058: it would write the new learning rate beside the old one's result."""
    project.edit(
        "src/petseg/training/loop.py", "        on_epoch(result.history)", "        on_epoch(result.history); _later()"
    )
    project.edit(
        "src/petseg/training/loop.py",
        "\n\n@dataclass",
        "\n\ndef _later():\n    from pathlib import Path\n    p = Path('params.yaml')\n"
        "    p.write_text(p.read_text().replace('\\nseed: 88', '\\nseed: 89'))\n\n\n@dataclass",
    )
    output = project.dvc("repro", "train_unet", status=255)
    assert "params.yaml changed while this stage ran: seed was 88 and is now 89" in output
    assert "Traceback" not in output
    lock = yaml.safe_load((project.folder / "dvc.lock").read_text())
    assert lock["stages"]["train_unet"]["params"]["params.yaml"]["seed"] == 88
    assert "train_unet:" in project.dvc("status")
    project.restore()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("\nlr: ", "\nlearnrate: ", "learnrate is not a parameter"),
        ("\nlr: ", "\nlr: [", "not valid YAML"),
    ],
)
def test_a_wrong_params_file_ends_before_any_work(project, old, new, words):
    project.edit("params.yaml", old, new)
    before = (project.folder / "models/unet.safetensors").read_bytes()
    for stage in ("fetch_data.py", "split.py", "train.py", "evaluate.py", "report.py"):
        arguments = ["unet"] if stage == "train.py" else []
        output = project.run("python", f"stages/{stage}", *arguments, status=2)
        assert words in output
        assert output.startswith("error: ")
        assert output.count("\n") == 1
    assert (project.folder / "models/unet.safetensors").read_bytes() == before
    project.restore()


def test_evaluate_refuses_weights_of_other_parameters(project):
    project.edit("params.yaml", "\nseed: 88", "\nseed: 89")
    output = project.run("python", "stages/evaluate.py", status=1)
    assert output.startswith("error: models/unet.safetensors was trained with seed 88, params.yaml says 89")
    project.restore()


def test_equal_runs_give_equal_bytes(project):
    names = ["models/unet.safetensors", "metrics/train_unet.json", "plots/train/unet.csv"]
    before = {name: (project.folder / name).read_bytes() for name in names}
    for name in names:
        (project.folder / name).unlink()
    project.run("python", "stages/train.py", "unet")
    assert {name: (project.folder / name).read_bytes() for name in names} == before
    project.restore()


def test_a_folder_of_ones_own_is_watched(project, tmp_path):
    own = tmp_path / "mine"
    (own / "images").mkdir(parents=True)
    (own / "masks").mkdir()
    raw = project.folder / "data/raw"
    for path in sorted((raw / "images").glob("*.jpg")):
        (own / "images" / path.name).write_bytes(path.read_bytes())
        trimap = raw / "annotations/trimaps" / f"{path.stem}.png"
        (own / "masks" / trimap.name).write_bytes(trimap.read_bytes())
    settings = ["-S", "data.source=folder", "-S", f"data.path={own}"]
    assert ran(project.dvc("exp", "run", *settings, "--name", "folder", "fetch_data", "split")) == [
        "fetch_data",
        "split",
    ]
    assert ran(project.dvc("repro", "split")) == []
    last = max((own / "images").glob("*.jpg"))
    last.unlink()
    (own / "masks" / f"{last.stem}.png").unlink()
    assert "fetch_data:" in project.dvc("status")
    assert ran(project.dvc("repro", "split")) == ["fetch_data", "split"]
    assert len((project.folder / "data/splits.csv").read_text().splitlines()) == 40
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
