import hashlib
from pathlib import Path

import numpy as np
import pytest

from petseg.data.fingerprint import TRAINING_ARRAYS, training_data
from petseg.runtime.errors import DataError

SIZE = 120_000  # bytes of an array: more than one chunk of the hash, and no multiple of it


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    for split in ("train", "valid", "test"):
        (tmp_path / split).mkdir()
        for array in ("images", "trimaps"):
            np.save(tmp_path / split / f"{array}.npy", np.full(SIZE, 2, np.uint8))
    return tmp_path


def test_the_fingerprint_covers_train_and_valid_but_not_test(packed):
    seen = [training_data(packed)]
    for name in TRAINING_ARRAYS:
        np.save(packed / name, np.ones(SIZE, np.uint8))
        seen.append(training_data(packed))
    assert len(set(seen)) == 5
    np.save(packed / "test" / "images.npy", np.ones(SIZE, np.uint8))
    assert training_data(packed) == seen[-1]


def test_the_fingerprint_is_the_hash_of_the_hashes_of_the_files(packed):
    hashes = [hashlib.sha256((packed / name).read_bytes()).digest() for name in TRAINING_ARRAYS]
    assert training_data(packed) == hashlib.sha256(b"".join(hashes)).hexdigest()


def test_a_missing_array_is_an_error(packed):
    (packed / "valid" / "trimaps.npy").unlink()
    with pytest.raises(DataError, match=r"valid/trimaps\.npy does not exist; run `dvc repro split`"):
        training_data(packed)


@pytest.mark.parametrize("split", ["train", "valid"])
@pytest.mark.parametrize(("index", "value"), [(0, 0), (SIZE - 1, 0), (SIZE // 2, 4)])
def test_trimaps_with_other_values_are_not_trained_on(packed, split, index, value):
    trimaps = np.load(packed / split / "trimaps.npy", mmap_mode="r+")
    trimaps[index] = value
    trimaps.flush()
    with pytest.raises(DataError, match=rf"{split}/trimaps\.npy holds values other than 1, 2 and 3.*--force split"):
        training_data(packed)


@pytest.mark.parametrize("length", [0, 20, 1000])
def test_a_truncated_array_is_an_error(packed, length):
    path = packed / "train" / "images.npy"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match=r"train/images\.npy is damaged; run `dvc repro --force split`"):
        training_data(packed)
