"""The stage `train` hands its parameters to the training."""

import importlib.util
import sys

import pytest

from support import trainings
from support.paths import ROOT


@pytest.fixture
def stage(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "stages")
    monkeypatch.setitem(sys.modules, "_here", object())  # it installs signal handlers
    spec = importlib.util.spec_from_file_location("train_stage", ROOT / "stages" / "train.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Reached(Exception):  # noqa: N818
    """Raised in place of the training."""


def test_augmentation_cutmix_and_seed_reach_the_dataset(stage, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def train(network, dataset, valid, *_):
        assert (dataset.mix, dataset.seed) == (0.25, 7)
        assert dataset.augment.transforms[3].limit == (-15, 15)  # policy b
        assert len(dataset) == 6
        assert len(valid[0]) == 3
        raise Reached

    monkeypatch.setattr(
        stage.packed, "load_split", lambda split, size: trainings.squares({"train": 6, "valid": 3}[split])
    )
    monkeypatch.setattr(stage.fingerprint, "training_data", lambda folder: "0")
    monkeypatch.setattr(stage.loop, "train", train)
    params = trainings.settings(seed=7, **{"train.cutmix": 0.25, "train.augment": "b"})
    with pytest.raises(Reached):
        stage.train("unet", params)
