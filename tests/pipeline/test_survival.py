"""Stages that are stopped, with and without DVC, resume and leave nothing damaged.

test_experiments.py kills a training in DVC's queue, and tests/training stops trainings at many other moments.
"""

import os
import signal
from pathlib import Path

from support.project import Project

OUTPUTS = ("models/unet.safetensors", "metrics/train_unet.json", "plots/train/unet.csv")
OFTEN = {"PETSEG_CHECKPOINT_SECONDS": "0"}


def checkpoints(project: Project) -> list[str]:
    """The trainings that left something to resume from."""
    return os.listdir(project.folder / ".petseg/checkpoints")


def test_an_experiment_resumes_after_dvc_was_terminated_and_after_ctrl_c(project):
    command = ("dvc", "exp", "run", "-S", "seed=90", "--name", "survivor", "train_unet")

    experiment = project.start(*command, hold=True, **OFTEN)
    experiment.held()
    os.kill(experiment.pid, signal.SIGTERM)  # dvc ends and does not tell the stage
    experiment.wait_for("stopping, because the dvc that started this process has died")
    status, output = experiment.end()
    assert status == -signal.SIGTERM
    assert "error: stopped by SIGTERM; run the same command again to resume from" in output

    experiment = project.start(*command, hold=True, **OFTEN)
    experiment.held()
    os.killpg(experiment.pid, signal.SIGINT)  # as a terminal does after Ctrl-C
    status, output = experiment.end()
    assert status == 255
    assert "error: stopped by SIGINT; run the same command again to resume from" in output
    assert "unet: resumes from epoch" in output

    assert checkpoints(project)
    assert "unet: resumes from epoch" in project.run(*command)
    assert checkpoints(project) == []
    resumed = project.read(*OUTPUTS)
    assert "resumes from" not in project.run("python", "stages/train.py", "unet")
    assert project.read(*OUTPUTS) == resumed


def test_of_equal_trainings_at_once_one_waits_and_another_training_does_not(project, tmp_path):
    names = [name.replace("unet", network) for network in ("unet", "resnet34_unet") for name in OUTPUTS]
    expected = project.read(*names)
    for name in names:
        (project.folder / name).unlink()
    cores = [{"PETSEG_LOCKS": str(tmp_path / str(number))} for number in range(3)]  # as if each had its own core
    for core in cores:
        Path(core["PETSEG_LOCKS"]).mkdir()
    first = project.start("python", "stages/train.py", "unet", hold=True, **OFTEN, **cores[0])
    first.held()
    second = project.start("python", "stages/train.py", "unet", **cores[1])
    second.wait_for("another process runs exactly this training; waiting for it to end")
    project.run("python", "stages/train.py", "resnet34_unet", **OFTEN, **cores[2])
    for training in (first, second):
        status, output = training.end()
        assert status == 0, output
        assert "resumes from" not in output
    assert project.read(*names) == expected
    assert checkpoints(project) == []


def test_a_full_disk_ends_a_training_with_one_sentence(project, small_disk):
    before = project.read(*OUTPUTS)
    output = project.run("python", "stages/train.py", "unet", status=1, DVC_ROOT=str(small_disk), **OFTEN)
    assert output.splitlines()[-1].startswith(f"error: The disk is full: {small_disk}/.petseg/checkpoints/unet-")
    assert "Traceback" not in output
    assert project.read(*OUTPUTS) == before
    assert [path.name for path in small_disk.rglob("*") if path.is_file()] == ["lock"]


def test_a_stopped_stage_leaves_nothing_incomplete(project):
    def parts() -> set[str]:
        return {path.name for path in (project.folder / "data").glob(".*")}

    fetch = project.start("python", "stages/fetch_data.py", hold=True)
    os.kill(fetch.held(), signal.SIGKILL)
    fetch.end()
    of_killed = parts()
    assert of_killed
    fetch = project.start("python", "stages/fetch_data.py", hold=True)
    os.kill(fetch.held(), signal.SIGTERM)
    assert fetch.end() == (143, "error: stopped by SIGTERM; run the same command again.\n")
    assert parts() == set()
    assert (project.folder / "data/raw/annotations/test.txt").exists()
