"""Claims on GPUs; a claim is a locked file, so that none of this needs a GPU."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from petseg import gpus, machine
from petseg.errors import PetsegError

FOUR = ["0", "1", "2", "3"]
CLAIM = """
import sys
from petseg import gpus
names, count, folder = sys.argv[1:]
print("holds", *gpus.claim(names.split(","), int(count), folder), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def free(monkeypatch):
    """What a test has claimed is free again after it."""
    monkeypatch.setattr(gpus, "_held", held := [])
    yield
    for lock in held:
        os.close(lock)


@pytest.fixture
def claimer(tmp_path):
    """Starts a process that claims GPUs and keeps them until its stdin is closed or it is killed."""
    started = []

    def start(names, count):
        command = [sys.executable, "-c", CLAIM, ",".join(names), str(count), str(tmp_path)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        source = str(Path(gpus.__file__).parents[1])
        started.append(subprocess.Popen(command, env=os.environ | {"PYTHONPATH": source}, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_two_never_hold_the_same_and_a_third_waits_until_one_is_killed(claimer, tmp_path):
    first = claimer(FOUR, 2)
    assert first.stdout.readline().split() == ["holds", "0", "1"]
    assert gpus.claim(FOUR, 1, tmp_path) == ["2"]
    third = claimer(FOUR, 2)
    assert third.stdout.readline() == "other trainings use the GPUs of this machine; waiting for 2\n"
    assert gpus.claim(FOUR, 1, tmp_path) == ["3"]  # it does not keep the one that was free
    first.kill()
    assert third.stdout.readline().split() == ["holds", "0", "1"]


def test_of_listed_gpus_those_that_are_free_are_taken(tmp_path):
    assert gpus.claim(["5", "7"], 1, tmp_path) == ["5"]
    assert gpus.claim(["3", "5", "7"], 2, tmp_path) == ["3", "7"]


def test_locks_are_for_all_users(monkeypatch):
    """In a folder as /tmp is, where nobody may open another user's file with O_CREAT (fs.protected_regular)."""
    shared = Path(tempfile.mkdtemp(dir="/tmp"))
    shared.chmod(0o1777)
    before = os.umask(0o077)
    try:
        assert gpus.claim(["0", "1"], 1, shared) == ["0"]
        assert stat.S_IMODE((shared / "petseg-gpu-0.lock").stat().st_mode) == 0o644
        if os.getuid() == 0:
            os.seteuid(65534)
        assert gpus.claim(["0", "1"], 1, shared) == ["1"]
        os.close(gpus._held.pop(0))
        assert gpus.claim(["0", "1"], 1, shared) == ["0"]
    finally:
        os.seteuid(os.getuid())
        os.umask(before)
        shutil.rmtree(shared)


def test_a_folder_without_room_for_locks_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PetsegError, match=r"petseg-gpu-0.lock cannot be made or read \(Not a directory\)") as error:
        gpus.claim(["0"], 1, tmp_path / "file")
    assert "\n" not in str(error.value)


@pytest.fixture
def four_gpus(monkeypatch, tmp_path):
    """A machine with four, which nvidia-smi knows by these identifiers."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf 'GPU-aa\\nGPU-ab\\nGPU-ba\\nGPU-bb\\n'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv("PETSEG_DEVICE", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    claimed = []

    def claim(names, count):
        claimed.append((names, count))
        return names[-count:]

    monkeypatch.setattr(gpus, "claim", claim)
    return claimed


def test_a_training_names_what_it_has_claimed_for_cuda(four_gpus, monkeypatch):
    gpus.claim_for_training(2)
    assert four_gpus == [(["GPU-aa", "GPU-ab", "GPU-ba", "GPU-bb"], 2)]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,3"


def test_the_same_gpu_by_another_name_is_the_same_claim(four_gpus, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-a,MIG-1")
    gpus.claim_for_training(2)
    assert four_gpus == [(["GPU-ba", "GPU-aa", "MIG-1"], 2)]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-a,MIG-1"


def test_without_nvidia_smi_names_are_taken_as_they_are(four_gpus, monkeypatch):
    monkeypatch.setenv("PATH", "")
    gpus.claim_for_training(4)
    assert four_gpus == [(FOUR, 4)]


def test_one_named_gpu_is_claimed_and_a_cpu_is_not(four_gpus, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,2,1,0")
    monkeypatch.setenv("PETSEG_DEVICE", "cuda:1")
    gpus.claim_for_training(1)
    assert four_gpus == [(["GPU-ba"], 1)]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3,2,1,0"
    monkeypatch.setenv("PETSEG_DEVICE", "cpu")
    gpus.claim_for_training(1)
    assert len(four_gpus) == 1
    monkeypatch.setenv("PETSEG_DEVICE", "gpu")
    with pytest.raises(PetsegError, match="PETSEG_DEVICE is 'gpu'"):
        gpus.claim_for_training(1)


def test_a_machine_without_gpus_claims_nothing(four_gpus, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert str(machine.device()) == "cpu"
    gpus.claim_for_training(1)
    assert four_gpus == []
