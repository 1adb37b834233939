"""The real stage in two processes: what becomes of the whole when a part of it ends."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from petseg.runtime import launch
from support import trainings
from support.project import write_settings

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ["stages/train.py", "unet"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SETTINGS = {"epochs": 5000, "batch_size": 4, "train.augment": "none", "train.precision": "fp32", "unet.width": 4}


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
        self.env = os.environ | {"PETSEG_DEVICE": "cpu", "PETSEG_PROCESSES": "2", "PETSEG_CHECKPOINT_SECONDS": "0"}
        self.env["TMPDIR"] = str(folder)  # a launching process that is killed leaves a folder there

    def start(self, *command):
        self.log.write_text("")
        with self.log.open("a") as log:
            streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
            return subprocess.Popen(command, cwd=self.folder, env=self.env, start_new_session=True, **streams)

    def training(self, *command):
        """Starts one and waits until it trains: its process and those of the ranks, by rank."""
        process = self.start(*command)
        try:
            deadline = time.monotonic() + 120
            while self.log.read_text().count(": loss") < 2:
                assert process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            ranks = {int(child.environ()["RANK"]): child for child in psutil.Process(process.pid).children()}
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        return process, ranks

    def said(self):
        """All that was printed but for a line an epoch and the first."""
        lines = self.log.read_text().splitlines()
        return "\n".join(line for line in lines if "images/s" not in line and ", 2 processes" not in line)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("project"))


def ended(process, ranks, seconds):
    """The exit status; within so many seconds nothing is left over."""
    deadline = time.monotonic() + seconds
    try:
        return process.wait(seconds)
    finally:
        _, left = psutil.wait_procs(ranks.values(), timeout=max(0, deadline - time.monotonic()))
        for one in (process, *left):
            one.kill()
        assert left == []


def test_a_killed_rank_ends_all_with_a_sentence_that_names_it(project):
    process, ranks = project.training(sys.executable, *SCRIPT)
    ranks[1].kill()
    assert ended(process, ranks, 30) == 1
    sentence = "Rank 1 was killed by SIGKILL, so all were stopped; the same command goes on from the last checkpoint."
    assert project.said() == f"error: {sentence}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_launching_process_saves_and_ends_all(project, number):
    process, ranks = project.training(sys.executable, *SCRIPT)
    begun = time.time()
    process.send_signal(number)
    assert ended(process, ranks, 15) == 128 + number
    *_, stopped = project.said().splitlines()
    newest = max(project.folder.glob(".petseg/checkpoints/*/*.ckpt"), key=lambda path: path.stat().st_mtime)
    assert begun < newest.stat().st_mtime < begun + 5
    assert stopped.startswith(f"error: stopped by {number.name}; the same command goes on from epoch ")
    assert "Traceback" not in project.said()


def test_no_rank_lives_on_without_the_launching_process(project):
    process, ranks = project.training(sys.executable, *SCRIPT)
    process.kill()
    assert ended(process, ranks, 10) == -signal.SIGKILL
    assert "the process that started this has died, so this ends too" in project.said()


def test_plain_torchrun_names_a_rank_that_died_and_the_training_goes_on_with_one_process_less(project):
    process, ranks = project.training(*TORCHRUN, *SCRIPT)
    ranks[1].kill()
    assert ended(process, ranks, 30) == 1
    cause = project.said().split("Root Cause")[1]
    assert "rank      : 1" in cause
    assert "SIGKILL" in cause
    project.env["PETSEG_PROCESSES"] = "1"
    process, ranks = project.training(sys.executable, *SCRIPT)
    project.env["PETSEG_PROCESSES"] = "2"
    assert ranks == {}
    process.terminate()
    assert ended(process, ranks, 15) == 128 + signal.SIGTERM
    assert "unet goes on from epoch" in project.said()


def test_what_a_user_can_put_right_is_said_once(project):
    shutil.move(project.folder / "data", project.folder / "away")
    try:
        assert project.start(sys.executable, *SCRIPT).wait(120) == 1
    finally:
        shutil.move(project.folder / "away", project.folder / "data")
    (line,) = project.said().splitlines()
    assert "data/packed/train/images.npy does not exist; run `dvc repro split`" in line


def test_the_first_that_ended_is_told_of_in_its_own_words_if_it_has_any(tmp_path):
    assert launch._why(2, 7, tmp_path).startswith("Rank 2 ended with status 7, so all were stopped")
    (tmp_path / "2").write_text("Out of memory.")
    assert launch._why(2, 1, tmp_path) == "rank 2: Out of memory."
