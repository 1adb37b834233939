"""Experiments, metrics and the user's own data, as a user drives them with DVC."""

import json
from collections.abc import Callable
from pathlib import Path

import psutil
import yaml

from petseg.config import params
from support.project import HANG, STAGES, Project, finished_experiments, metrics, ran, wait_until, write_settings


def test_another_learning_rate_trains_both_networks_and_nothing_runs_twice(project):
    output = project.dvc("exp", "run", "-S", "lr=1e-5", "--name", "slow")  # DVC writes it as 1e-05
    assert ran(output) == STAGES[2:]
    assert "lr 1e-05, epochs" in output
    [row] = experiments(project)
    assert row["name"] == "slow"
    assert row["data"]["params"]["params.yaml"]["data"]["lr"] == 1e-5
    assert row["data"]["metrics"]["metrics/test.json"]["data"] == metrics(project)
    project.git("checkout", "--quiet", "params.yaml")
    assert ran(project.dvc("repro")) == []
    assert project.git("status", "--porcelain") == ""


def experiments(project: Project) -> list[dict]:
    """The experiments in `dvc exp show`."""
    table = json.loads(project.dvc("exp", "show", "--json"))
    found = [experiment for commit in table for experiment in commit.get("experiments") or []]
    return [revision for experiment in found for revision in experiment["revs"]]


def test_a_parameter_of_one_network_trains_only_that_network_and_metrics_can_be_compared_in_a_clone(project, tmp_path):
    before = metrics(project, "train_unet")
    assert ran(project.dvc("exp", "run", "-S", "unet.lr=2e-3")) == ["train_unet", "evaluate", "report"]
    after = metrics(project, "train_unet")
    project.commit("lower learning rate")
    clone = clone_of(project, tmp_path / "clone")
    shown = json.loads(clone.dvc("metrics", "show", "--json"))
    assert shown[""]["data"]["metrics/train_unet.json"]["data"] == after
    diff = json.loads(clone.dvc("metrics", "diff", "HEAD~1", "HEAD", "--json"))["metrics/train_unet.json"]
    assert diff["unet.train_loss"]["old"] == before["unet"]["train_loss"]
    assert diff["unet.train_loss"]["new"] == after["unet"]["train_loss"]
    assert "file://" in clone.dvc("plots", "diff", "HEAD~1", "HEAD")
    page = (clone.folder / "dvc_plots/index.html").read_text()
    for text in ("train_dice", "valid_loss", "dice_low", '"rev": "HEAD~1"', '"rev": "HEAD"'):
        assert text in page


def clone_of(project: Project, folder: Path) -> Project:
    """A clone of the project, without any output that is not in git."""
    project.git("clone", "--quiet", str(project.folder), str(folder))
    return Project(folder, project.site)


def test_in_a_clone_without_data_a_queued_experiment_runs_once_with_its_own_code(project, tmp_path):
    clone, record = clone_of(project, tmp_path / "clone"), tmp_path / "record"
    record.mkdir()
    # Other data than dvc.lock names, as after a first change of the parameters. `--temp` works like the queue.
    command = ("exp", "run", "--temp", "-S", "data.images=44", "-S", "epochs=1", "--name")
    assert ran(clone.dvc(*command, "first", PETSEG_TEST_RECORD=str(record))) == STAGES
    assert ran(clone.dvc(*command, "second")) == []
    assert len(list(record.iterdir())) == len(STAGES)
    for log in record.iterdir():
        imported = [line for line in log.read_text().splitlines() if line.startswith("import ")]
        assert imported
        assert all(f"{clone.folder}/.dvc/tmp/exps/" in line for line in imported)


def test_a_grid_in_the_queue_survives_a_killed_training(project):
    grid = ("-S", "lr=1e-3,1e-4", "-S", "seed=91,92", "-S", "epochs=2")
    project.dvc("exp", "run", "--queue", *grid, "--name", "grid", "train_unet")
    queue = project.start("dvc", "queue", "start", "-j", "2", hold=True, PETSEG_CHECKPOINT_SECONDS="0")
    wait_until(queue.hold.pids, lambda: project.dvc("queue", "status"))
    training = psutil.Process(queue.hold.pids()[0])
    folder, used = Path(training.cwd()), params.load(Path(training.cwd()) / "params.yaml")
    training.kill()
    queue.hold.release()
    work_until(lambda: len(finished_experiments(project)) == 3 and not folder.exists(), project)
    scores = {}
    for ref in finished_experiments(project):
        row = yaml.safe_load(project.git("show", f"{ref}:params.yaml"))
        scores[float(row["lr"]), row["seed"]] = project.git("show", f"{ref}:metrics/train_unet.json")
    assert scores.keys() == {(lr, seed) for lr in (1e-3, 1e-4) for seed in (91, 92)} - {(used.lr, used.seed)}
    assert len(set(scores.values())) == 3
    # DVC has removed the folder of the killed experiment. Its checkpoint is in the project.
    for key in ("lr", "seed", "epochs"):
        write_settings(project.folder / "params.yaml", {key: getattr(used, key)})
    assert "unet: resumes from epoch" in project.run("python", "stages/train.py", "unet")


def work_until(condition: Callable[[], bool], project: Project) -> None:
    """Waits until DVC's queue has done its work.

    A worker may die from reading a message that another worker has not finished writing (DVC's issue 10673). Then the
    queue is started again.
    """
    for _ in range(3):
        try:
            return wait_until(condition, seconds=HANG / 3)
        except AssertionError:
            project.dvc("queue", "start", "-j", "2")
    raise AssertionError(project.dvc("queue", "status"))


def test_a_folder_of_the_users_own_images_is_watched(project, tmp_path):
    own, raw = tmp_path / "mine", project.folder / "data/raw"
    for name in ("images", "masks"):
        (own / name).mkdir(parents=True)
    for path in (raw / "images").glob("*.jpg"):
        trimap = raw / "annotations/trimaps" / f"{path.stem}.png"
        (own / "images" / path.name).write_bytes(path.read_bytes())
        (own / "masks" / trimap.name).write_bytes(trimap.read_bytes())
    source = ("-S", "data.source=folder", "-S", f"data.path={own}")
    assert ran(project.dvc("exp", "run", *source, "split")) == ["fetch_data", "split"]
    assert ran(project.dvc("repro", "split")) == []
    last = max((own / "images").glob("*.jpg"))
    last.unlink()
    (own / "masks" / f"{last.stem}.png").unlink()
    assert ran(project.dvc("repro", "split")) == ["fetch_data", "split"]
    assert len((project.folder / "data/splits.csv").read_text().splitlines()) == 1 + 39
