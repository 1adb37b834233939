import os

import pytest

from petseg import machine
from petseg.errors import PetsegError


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
