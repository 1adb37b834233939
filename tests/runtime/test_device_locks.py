"""Locks on GPUs and cores. A device is only a name here, so no test needs a GPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from petseg.runtime import device_locks, machine
from petseg.runtime.errors import PetsegError
from support.paths import COMMITTED, ROOT

FOUR = ["0", "1", "2", "3"]
CLAIM = """
import sys
from petseg.runtime import device_locks
names, count = sys.argv[1:]
print("holds", *device_locks.claim(names.split(","), int(count), "GPUs"), flush=True)
sys.stdin.read()
"""


def release():
    while device_locks._held:
        device_locks._held.pop().close()


@pytest.fixture(autouse=True)
def own_locks(monkeypatch, tmp_path):
    monkeypatch.setenv("PETSEG_LOCKS", str(tmp_path))
    yield
    release()


@pytest.fixture
def claimer():
    """Starts processes that claim GPUs and keep them until they are killed."""
    started = []

    def start(names, count):
        command = [sys.executable, "-c", CLAIM, ",".join(names), str(count)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_two_processes_never_hold_the_same_device_and_a_third_waits_until_one_is_killed(claimer):
    first = claimer(FOUR, 2)
    assert first.stdout.readline().split() == ["holds", "0", "1"]
    assert device_locks.claim(FOUR, 1, "GPUs") == ["2"]
    third = claimer(FOUR, 2)
    assert third.stdout.readline() == "waiting for 2 free GPUs, which other trainings use\n"
    assert device_locks.claim(FOUR, 1, "GPUs") == ["3"]  # the waiting process does not keep it
    first.kill()
    assert third.stdout.readline().split() == ["holds", "0", "1"]


def test_a_folder_that_cannot_hold_locks_is_an_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PETSEG_LOCKS", str(tmp_path / "file"))
    with pytest.raises(PetsegError, match=r"petseg-0.lock cannot be created or read.*PETSEG_LOCKS") as error:
        device_locks.claim(["0"], 1, "GPUs")
    assert "\n" not in str(error.value)


@pytest.fixture
def four_gpus(monkeypatch, tmp_path):
    """A machine with four GPUs, whose UUIDs nvidia-smi prints; the arguments of each `claim`."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf 'GPU-aa\\nGPU-ab\\nGPU-ba\\nGPU-bb\\n'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv("PETSEG_DEVICE", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    claimed = []

    def claim(names, count, kind, hint=""):
        claimed.append((names, count))
        return names[-count:]

    monkeypatch.setattr(device_locks, "claim", claim)
    return claimed


@pytest.mark.parametrize(
    ("visible", "device", "processes", "locks", "visible_then"),
    [
        (None, None, 2, "GPU-aa GPU-ab GPU-ba GPU-bb", "2,3"),
        ("2,GPU-a,MIG-1", None, 2, "GPU-ba GPU-aa MIG-1", "GPU-a,MIG-1"),  # one lock, whatever name a GPU is given
        ("3,2,1,0", "cuda:1", 1, "GPU-ba", "3,2,1,0"),
    ],
)
def test_gpus_are_locked_by_uuid_and_cuda_sees_only_those(
    four_gpus, monkeypatch, visible, device, processes, locks, visible_then
):
    for name, value in (("CUDA_VISIBLE_DEVICES", visible), ("PETSEG_DEVICE", device)):
        if value:
            monkeypatch.setenv(name, value)
    device_locks.claim_for_training(processes)
    assert four_gpus == [([f"gpu-{name}" for name in locks.split()], processes)]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible_then


def test_without_nvidia_smi_gpus_are_locked_by_number(four_gpus, monkeypatch):
    monkeypatch.setenv("PATH", "")
    device_locks.claim_for_training(4)
    assert four_gpus == [(["gpu-0", "gpu-1", "gpu-2", "gpu-3"], 4)]


@pytest.mark.parametrize(
    ("cores", "threads", "processes", "count"),
    [([0, 1, 2, 3], 2, 1, 2), ([0, 1, 2, 3], 2, 2, 4), ([0, 1, 2, 3], 2, 3, 4), ([5], 1, 1, 1), ([5], 4, 1, 1)],
)
@pytest.mark.parametrize("device", [None, "cpu"])
def test_on_a_cpu_each_thread_claims_a_core(four_gpus, monkeypatch, cores, threads, processes, count, device):
    if device:
        monkeypatch.setenv("PETSEG_DEVICE", device)
    else:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(machine, "core_numbers", lambda: cores)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    device_locks.claim_for_training(processes)
    assert four_gpus == [([f"core-{core}" for core in cores], count)]
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.parametrize(
    ("command", "threads", "hint"),
    [(["train.py", "unet"], 1, ""), (["evaluate.py"], 2, "; with OMP_NUM_THREADS=1 each training uses one")],
)
def test_a_stage_waits_for_its_cores(tmp_path, command, threads, hint):
    """The stage has parameters but no data, so it fails as soon as it gets its cores."""
    cores = [f"core-{core}" for core in machine.core_numbers()]
    if len(cores) < threads:
        pytest.skip(f"this machine has fewer than {threads} cores")
    device_locks.claim(cores, len(cores), "cores")
    (tmp_path / "params.yaml").write_text(COMMITTED.read_text())
    env = os.environ | {"OMP_NUM_THREADS": str(threads), "PETSEG_DEVICE": "cpu"}
    script = [sys.executable, "-u", str(ROOT / "stages" / command[0]), *command[1:]]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(script, cwd=tmp_path, env=env, **pipes) as stage:
        assert stage.stdout.readline() == f"waiting for {threads} free cores, which other trainings use{hint}\n"
        release()
        output, message = stage.communicate()
    assert (output, stage.returncode) == ("", 1)
    assert message.startswith("error: ")


def test_all_jobs_of_a_machine_share_the_locks_whatever_their_tmpdir(monkeypatch):
    monkeypatch.delenv("PETSEG_LOCKS")
    monkeypatch.setenv("TMPDIR", "/var/tmp")
    monkeypatch.setattr(device_locks, "try_lock", lambda path: path)
    assert device_locks._try_lock("gpu-1") == Path("/tmp/petseg-gpu-1.lock")
