"""Experiments, queues, metrics and data of one's own, as a user of DVC drives them."""

import json
import time

import pytest

from support.project import STAGES, Project, metrics, ran


def test_what_was_done_once_is_never_done_again(project):
    project.edit("params.yaml", "\nseed: 88", "\nseed: 89")
    assert ran(project.dvc("repro")) == STAGES[2:]
    project.edit("params.yaml", "\nseed: 89", "\nseed: 88")
    assert ran(project.dvc("repro")) == []
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


def test_a_queue_of_six(project, tmp_path):
    project.dvc("exp", "run", "--queue", "-S", "lr=1e-3,1e-4", "-S", "seed=range(0,3)", "--name", "grid")
    project.dvc("queue", "start", PETSEG_TEST_IMPORTS=str(tmp_path))
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
    assert sorted(log.name for log in tmp_path.iterdir()) == [
        "evaluate.py",
        "report.py",
        "train.py-resnet34_unet",
        "train.py-unet",
    ]
    for log in tmp_path.iterdir():  # a queued experiment runs in a copy of the project, with the copy's own code
        assert all("/.dvc/tmp/exps/" in line for line in log.read_text().split("\n") if line)


def test_in_a_fresh_clone_a_queued_experiment_is_not_done_twice(project, tmp_path):
    """Also where the data that dvc.lock names was never made."""
    project.git("clone", "--quiet", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone", tmp_path / "site")
    command = ("exp", "run", "--temp", "-S", "data.images=44", "-S", "epochs=1", "train_unet", "--name")
    assert ran(clone.dvc(*command, "first")) == STAGES[:3]
    assert ran(clone.dvc(*command, "second")) == []


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
        for line in ("train_dice", "valid_loss", "dice_low", '"rev": "HEAD~1"', '"rev": "HEAD"'):
            assert line in (clone / "dvc_plots/index.html").read_text()
    finally:
        project.folder = here
        project.git("reset", "--quiet", "--hard", "HEAD~1")
        project.dvc("checkout", "--quiet", "--force")


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
