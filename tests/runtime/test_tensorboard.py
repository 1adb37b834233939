"""Curves for TensorBoard, with a writer in place of its own."""

import sys
from types import ModuleType

import pytest

from petseg.runtime import tensorboard
from petseg.runtime.errors import PetsegError

HISTORY = [{"epoch": 1, "lr": 0.1, "train_loss": 2.0, "valid_dice": 0.5}, {"epoch": 2, "lr": 0.05, "valid_dice": 0.75}]


@pytest.fixture
def written(monkeypatch):
    """What a writer was given: its folder and keyword arguments, then (tag, value, step)."""
    seen = []

    class Writer:
        def __init__(self, folder, **how):
            seen.append((folder, how))

        def add_scalar(self, *scalar):
            seen.append(scalar)

        def flush(self):
            pass

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("PETSEG_TENSORBOARD", "runs")
    return seen


def test_every_epoch_is_written_once_below_the_project(written, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", "/project")
    monkeypatch.setenv("DVC_EXP_NAME", "wide")
    write = tensorboard.open_curves("unet")
    write(HISTORY[:1])
    write(HISTORY)
    assert written == [
        ("/project/runs/wide/unet", {"purge_step": 1}),
        ("lr", 0.1, 1),
        ("loss/train", 2.0, 1),
        ("dice/valid", 0.5, 1),
        ("lr", 0.05, 2),
        ("dice/valid", 0.75, 2),
    ]


def test_nothing_is_written_by_default(written, monkeypatch):
    monkeypatch.delenv("PETSEG_TENSORBOARD")
    tensorboard.open_curves("unet")(HISTORY)
    assert written == []


def test_a_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setenv("PETSEG_TENSORBOARD", "runs")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(PetsegError, match="TensorBoard is not installed; run `pip install tensorboard`, or unset"):
        tensorboard.open_curves("unet")
