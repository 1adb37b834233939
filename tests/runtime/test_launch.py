"""The train stage in two processes: what happens to all of them when one ends."""

import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import psutil
import pytest

from petseg.runtime import checkpoints, errors, launch
from support import trainings
from support.paths import ROOT
from support.project import wait_until, write_settings

SCRIPT = ["stages/train.py", "unet"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SETTINGS = {"epochs": 5000, "batch_size": 4, "train.augment": "none", "train.precision": "fp32", "unet.width": 4}
HANG = 120  # seconds after which a test gives up


class Project:
    """The code, parameters and packed images in a folder of their own."""

    def __init__(self, folder):
        self.folder, self.log = folder, folder / "log"
        for name in ("src", "stages"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        shutil.copy(ROOT / "params.yaml", folder)
        write_settings(folder / "params.yaml", SETTINGS)
        for split in ("train", "valid"):
            (folder / "data/packed" / split).mkdir(parents=True)
            for name, array in zip(("images", "trimaps"), trainings.squares(6), strict=True):
                np.save(folder / "data/packed" / split / f"{name}.npy", array)
        self.env = os.environ | {"PETSEG_DEVICE": "cpu", "PETSEG_PROCESSES": "2"}
        self.env["PETSEG_CHECKPOINT_SECONDS"] = "86400"  # only a signal saves
        self.env["TMPDIR"] = str(folder)  # a launcher that is killed leaves a folder there

    def start(self, *command, **env):
        self.log.write_text("")
        with self.log.open("a") as log:
            streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
            env = self.env | env
            return subprocess.Popen(command, cwd=self.folder, env=env, start_new_session=True, **streams)

    def train(self, *command, **env):
        """Starts a training and waits for two epochs; its process, and those of the ranks by rank."""
        process = self.start(*command, **env)

        def trains():
            assert process.poll() is None, self.log.read_text()
            return self.log.read_text().count(", loss ") >= 2

        try:
            wait_until(trains, HANG)
            ranks = {int(child.environ()["RANK"]): child for child in psutil.Process(process.pid).children()}
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        return process, ranks

    def messages(self):
        """What was printed except for the first two lines and one line per epoch."""
        usual = re.compile(r"unet: (lr |on cpu|epoch )")
        return "\n".join(line for line in self.log.read_text().splitlines() if not usual.match(line))

    def saved(self):
        """Epoch and step of the only checkpoint, from 1."""
        (path,) = self.folder.glob(".petseg/checkpoints/*/*.ckpt")
        state = checkpoints.Checkpoints(path.parent, 0).load()
        return state["epoch"] + 1, state["step"] + 1

    def forget(self):
        shutil.rmtree(self.folder / ".petseg")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("project"))


def exit_status(process, ranks):
    """Waits until the process and all ranks have ended."""
    try:
        return process.wait(HANG)
    finally:
        _, left = psutil.wait_procs(ranks.values(), timeout=HANG)
        for each in (process, *left):
            each.kill()
        assert left == []


def test_a_killed_rank_stops_all_and_is_named(project):
    process, ranks = project.train(sys.executable, *SCRIPT)
    ranks[1].kill()
    assert exit_status(process, ranks) == 1
    reason = "Rank 1 was killed by SIGKILL, so all ranks were stopped"
    assert project.messages() == f"error: {reason}; run the same command again to resume from the last checkpoint."


@pytest.mark.parametrize("number", errors.STOPS[1:])  # the test after it covers SIGTERM
def test_a_signal_to_the_launcher_saves_a_checkpoint_and_stops_all(project, number):
    process, ranks = project.train(sys.executable, *SCRIPT)
    process.send_signal(number)
    assert exit_status(process, ranks) == 128 + number
    message = f"error: stopped by {number.name}; run the same command again to resume from epoch "
    position = re.fullmatch(message + r"(\d+), (step (\d+)|its validation)\.", project.messages())
    assert position, project.messages()
    assert project.saved()[0] == int(position[1])
    project.forget()


def test_no_rank_outlives_the_launcher(project):
    process, ranks = project.train(sys.executable, *SCRIPT)
    process.kill()
    assert exit_status(process, ranks) == -signal.SIGKILL
    assert "stopping, because the launcher that started this process has died" in project.messages()


def test_plain_torchrun_names_a_dead_rank_and_one_process_resumes_the_training(project):
    process, ranks = project.train(*TORCHRUN, *SCRIPT, PETSEG_CHECKPOINT_SECONDS="0")
    ranks[1].kill()
    assert exit_status(process, ranks) == 1
    cause = project.messages().split("Root Cause")[1]
    assert "rank      : 1" in cause
    assert "SIGKILL" in cause
    process, ranks = project.train(sys.executable, *SCRIPT, PETSEG_PROCESSES="1")
    assert ranks == {}
    process.terminate()
    assert exit_status(process, ranks) == 128 + signal.SIGTERM
    assert re.search("unet: resumes from epoch", project.messages())


def test_an_error_that_the_user_can_correct_is_printed_once(project):
    shutil.move(project.folder / "data", project.folder / "away")
    try:
        assert project.start(sys.executable, *SCRIPT).wait(HANG) == 1
    finally:
        shutil.move(project.folder / "away", project.folder / "data")
    (line,) = project.messages().splitlines()
    assert "data/packed/train/images.npy does not exist; run `dvc repro split`" in line


def test_the_first_process_that_failed_is_reported_in_its_own_words_if_it_left_any():
    assert launch._failure(2, 7, "").startswith("Rank 2 ended with status 7, so all ranks were stopped; ")
    assert launch._failure(2, 1, "Out of memory.") == "rank 2: Out of memory."
