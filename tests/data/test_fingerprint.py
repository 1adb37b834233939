import numpy as np
import pytest

from petseg.data.fingerprint import training_data
from petseg.runtime.errors import DataError


def test_the_fingerprint_covers_train_and_valid_but_not_test(tmp_path):
    for split in ("train", "valid", "test"):
        (tmp_path / split).mkdir()
        for array in ("images", "trimaps"):
            np.save(tmp_path / split / f"{array}.npy", np.zeros(4, np.uint8))
    seen = [training_data(tmp_path)]
    assert len(seen[0]) == 64
    for split in ("train", "valid"):
        for array in ("images", "trimaps"):
            np.save(tmp_path / split / f"{array}.npy", np.ones(4, np.uint8))
            seen.append(training_data(tmp_path))
    assert len(set(seen)) == 5
    np.save(tmp_path / "test" / "images.npy", np.ones(4, np.uint8))
    assert training_data(tmp_path) == seen[-1]


def test_missing_arrays(tmp_path):
    with pytest.raises(DataError, match=r"train/images.npy does not exist; run `dvc repro split`"):
        training_data(tmp_path)
