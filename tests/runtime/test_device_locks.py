"""Claims on GPUs and cores; a claim is a locked file, so that none of this needs a GPU."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch

from petseg.runtime import device_locks, machine
from petseg.runtime.errors import PetsegError

ROOT = Path(__file__).resolve().parents[2]
FOUR = ["0", "1", "2", "3"]
CLAIM = """
import sys
from petseg.runtime import device_locks
names, count = sys.argv[1:]
print("holds", *device_locks.claim(names.split(","), int(count), "GPUs"), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def free(monkeypatch, tmp_path):
    """A test has locks of its own, and what it has claimed is free again after it."""
    monkeypatch.setenv("PETSEG_LOCKS", str(tmp_path))
    monkeypatch.setattr(device_locks, "_held", held := [])
    yield
    for lock in held:
        os.close(lock)


@pytest.fixture
def claimer():
    """Starts a process that claims GPUs and keeps them until its stdin is closed or it is killed."""
    started = []

    def start(names, count):
        command = [sys.executable, "-c", CLAIM, ",".join(names), str(count)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        source = str(Path(device_locks.__file__).parents[2])
        started.append(subprocess.Popen(command, env=os.environ | {"PYTHONPATH": source}, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_two_never_hold_the_same_and_a_third_waits_until_one_is_killed(claimer):
    first = claimer(FOUR, 2)
    assert first.stdout.readline().split() == ["holds", "0", "1"]
    assert device_locks.claim(FOUR, 1, "GPUs") == ["2"]
    third = claimer(FOUR, 2)
    assert third.stdout.readline() == "other trainings use the GPUs of this machine; waiting for 2\n"
    assert device_locks.claim(FOUR, 1, "GPUs") == ["3"]  # it does not keep the one that was free
    first.kill()
    assert third.stdout.readline().split() == ["holds", "0", "1"]


def test_of_listed_gpus_those_that_are_free_are_taken():
    assert device_locks.claim(["5", "7"], 1, "GPUs") == ["5"]
    assert device_locks.claim(["3", "5", "7"], 2, "GPUs") == ["3", "7"]


def test_locks_are_for_all_users(monkeypatch):
    """In a folder as /tmp is, where nobody may open another user's file with O_CREAT (fs.protected_regular)."""
    shared = Path(tempfile.mkdtemp(dir="/tmp"))
    shared.chmod(0o1777)
    monkeypatch.setenv("PETSEG_LOCKS", str(shared))
    before = os.umask(0o077)
    try:
        assert device_locks.claim(["0", "1"], 1, "GPUs") == ["0"]
        assert stat.S_IMODE((shared / "petseg-0.lock").stat().st_mode) == 0o644
        if os.getuid() == 0:
            os.seteuid(65534)
        assert device_locks.claim(["0", "1"], 1, "GPUs") == ["1"]
        os.close(device_locks._held.pop(0))
        assert device_locks.claim(["0", "1"], 1, "GPUs") == ["0"]
    finally:
        os.seteuid(os.getuid())
        os.umask(before)
        shutil.rmtree(shared)


@pytest.mark.parametrize(("name", "why"), [("file", "Not a directory"), ("missing", "No such file or directory")])
def test_a_folder_without_room_for_locks_is_a_sentence(monkeypatch, tmp_path, name, why):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PETSEG_LOCKS", str(tmp_path / name))
    with pytest.raises(PetsegError, match=rf"petseg-0.lock cannot be made or read \({why}\).*PETSEG_LOCKS") as error:
        device_locks.claim(["0"], 1, "GPUs")
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

    def claim(names, count, what, hint=""):
        claimed.append((names, count))
        return names[-count:]

    monkeypatch.setattr(device_locks, "claim", claim)
    return claimed


def test_a_training_names_what_it_has_claimed_for_cuda(four_gpus, monkeypatch):
    device_locks.claim_for_training(2)
    assert four_gpus == [(["gpu-GPU-aa", "gpu-GPU-ab", "gpu-GPU-ba", "gpu-GPU-bb"], 2)]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,3"


def test_the_same_gpu_by_another_name_is_the_same_claim(four_gpus, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-a,MIG-1")
    device_locks.claim_for_training(2)
    assert four_gpus == [(["gpu-GPU-ba", "gpu-GPU-aa", "gpu-MIG-1"], 2)]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-a,MIG-1"


def test_without_nvidia_smi_names_are_taken_as_they_are(four_gpus, monkeypatch):
    monkeypatch.setenv("PATH", "")
    device_locks.claim_for_training(4)
    assert four_gpus == [(["gpu-0", "gpu-1", "gpu-2", "gpu-3"], 4)]


def test_one_named_gpu_is_claimed(four_gpus, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,2,1,0")
    monkeypatch.setenv("PETSEG_DEVICE", "cuda:1")
    device_locks.claim_for_training(1)
    assert four_gpus == [(["gpu-GPU-ba"], 1)]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3,2,1,0"
    monkeypatch.setenv("PETSEG_DEVICE", "gpu")
    with pytest.raises(PetsegError, match="PETSEG_DEVICE is 'gpu'"):
        device_locks.claim_for_training(1)


@pytest.mark.parametrize(
    ("cores", "threads", "processes", "count"),
    [([0, 1, 2, 3], 2, 1, 2), ([0, 1, 2, 3], 2, 2, 4), ([0, 1, 2, 3], 2, 3, 4), ([5], 1, 1, 1), ([5], 4, 1, 1)],
)
@pytest.mark.parametrize("asked", [None, "cpu"])
def test_on_a_cpu_a_core_is_claimed_for_each_thread(four_gpus, monkeypatch, cores, threads, processes, count, asked):
    if asked:
        monkeypatch.setenv("PETSEG_DEVICE", asked)
    else:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(machine, "core_numbers", lambda: cores)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    device_locks.claim_for_training(processes)
    assert four_gpus == [([f"core-{core}" for core in cores], count)]
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


WAITING = "other trainings use the cores of this machine; waiting for "


@pytest.mark.parametrize(
    ("threads", "said"),
    [("1", f"{WAITING}1\n"), ("2", f"{WAITING}2 (with OMP_NUM_THREADS=1 each training takes one)\n")],
)
def test_a_stage_waits_for_its_cores(tmp_path, threads, said):
    """It has what params.yaml says and no data: its turn is over with a sentence."""
    cores = [f"core-{core}" for core in machine.core_numbers()]
    if len(cores) < int(threads):
        pytest.skip(f"{threads} threads take one core of one")
    device_locks.claim(cores, len(cores), "cores")
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    env = os.environ | {"OMP_NUM_THREADS": threads, "PETSEG_DEVICE": "cpu"}
    for command in (["train.py", "unet"], ["evaluate.py"]):
        script = [sys.executable, "-u", str(ROOT / "stages" / command[0]), *command[1:]]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(script, cwd=tmp_path, env=env, **pipes) as stage:
            try:
                assert stage.stdout.readline() == said
                time.sleep(1.5)
                assert stage.poll() is None
                while device_locks._held:
                    os.close(device_locks._held.pop())
                rest, sentence = stage.communicate(timeout=60)
            finally:
                stage.kill()
            assert (rest, stage.returncode) == ("", 1)
            assert sentence.startswith("error: ")
        device_locks.claim(cores, len(cores), "cores")


def test_all_jobs_of_a_machine_have_the_same_locks_whatever_their_folder_for_temporary_files(monkeypatch, tmp_path):
    monkeypatch.delenv("PETSEG_LOCKS")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert device_locks._folder() == Path("/tmp")
