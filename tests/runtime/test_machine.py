import io
import os

import pytest
import torch

from petseg.runtime import machine
from petseg.runtime.errors import PetsegError


def test_workers_come_from_the_environment_or_the_cores(monkeypatch):
    monkeypatch.delenv("PETSEG_WORKERS", raising=False)
    assert 1 <= machine.workers() <= os.cpu_count()
    monkeypatch.setenv("PETSEG_WORKERS", "")
    assert 1 <= machine.workers() <= os.cpu_count()
    monkeypatch.setenv("PETSEG_WORKERS", "7")
    assert machine.workers() == 7
    for wrong in ("0", "-1", "many", "1.5"):
        monkeypatch.setenv("PETSEG_WORKERS", wrong)
        with pytest.raises(PetsegError, match="PETSEG_WORKERS"):
            machine.workers()


def test_a_device_that_is_not_there_is_a_sentence(monkeypatch):
    monkeypatch.setenv("PETSEG_DEVICE", "cpu")
    assert str(machine.device()) == "cpu"
    facts = machine.describe(machine.device())
    assert facts["device"] == "cpu"
    assert facts["device_name"]
    for wrong in ("gpu", "cuda:97", "meta", "cpu:3"):
        monkeypatch.setenv("PETSEG_DEVICE", wrong)
        with pytest.raises(PetsegError, match=f"PETSEG_DEVICE is '{wrong}'") as error:
            machine.device()
        assert "\n" not in str(error.value)


def test_cores_are_those_that_this_process_may_use():
    here = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(here)})
        assert machine.cores() == 1
    finally:
        os.sched_setaffinity(0, here)
    assert machine.cores() == len(here)


@pytest.mark.parametrize(
    ("text", "device", "gpus", "count"),
    [
        ("", "", 0, 1),
        ("3", "", 0, 3),
        ("", "", 4, 4),
        ("2", "", 4, 2),
        ("", "cuda:2", 4, 1),
        ("", "cpu", 4, 1),
        ("3", "cpu", 2, 3),
    ],
)
def test_processes_are_one_a_gpu_unless_told_otherwise(monkeypatch, text, device, gpus, count):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setenv("PETSEG_PROCESSES", text)
    monkeypatch.setenv("PETSEG_DEVICE", device)
    assert machine.processes() == count


@pytest.mark.parametrize("text", ["0", "65", "two", "-1", "5"])
def test_a_wrong_number_of_processes_is_a_sentence(monkeypatch, text):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv("PETSEG_DEVICE", raising=False)
    monkeypatch.setenv("PETSEG_PROCESSES", text)
    with pytest.raises(PetsegError, match=r"PETSEG_PROCESSES is '?" + text) as error:
        machine.processes()
    assert "\n" not in str(error.value)


def test_each_process_of_torchrun_takes_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("PETSEG_DEVICE", raising=False)
    assert str(machine.device()) == "cuda:0"
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert str(machine.device()) == "cuda:1"
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(PetsegError, match="Local rank 2 has no GPU, for there are 2"):
        machine.device()


@pytest.mark.parametrize(
    ("flags", "has"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16", True),
        ("Features\t: fp asimd bf16", True),
        ("flags: avx512f abf16", False),
    ],
)
def test_bf16_of_a_cpu_is_read_from_its_flags(monkeypatch, flags, has):
    lines = f"processor\t: 0\n{flags}\nbugs\t:\n"
    monkeypatch.setattr("builtins.open", lambda *args, **options: io.StringIO(lines))
    assert machine.has_bf16(torch.device("cpu")) == has
