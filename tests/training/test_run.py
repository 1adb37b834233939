"""A training gets the parameters of params.yaml."""

import pytest

from petseg.training import run
from support import trainings


class Reached(Exception):  # noqa: N818
    """Raised in place of the training."""


def test_augmentation_cutmix_and_seed_reach_the_dataset(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def train(network, dataset, valid, *_):
        assert (dataset.mix, dataset.seed) == (0.25, 7)
        assert dataset.augment.transforms[3].limit == (-15, 15)  # policy b
        assert len(dataset) == 6
        assert len(valid[0]) == 3
        raise Reached

    monkeypatch.setattr(
        run.packed, "load_split", lambda split, size: trainings.squares({"train": 6, "valid": 3}[split])
    )
    monkeypatch.setattr(run.fingerprint, "training_data", lambda folder: "0")
    monkeypatch.setattr(run.loop, "train", train)
    params = trainings.settings(seed=7, **{"train.cutmix": 0.25, "train.augment": "b"})
    with pytest.raises(Reached):
        run.train("unet", params)
