"""Masks without any pet."""

import numpy as np
import pytest

from petseg.data import empty_masks
from petseg.data.layout import Entry
from petseg.data.splits import SPLITS, Assignment
from petseg.runtime.errors import DataError


@pytest.fixture
def packed(tmp_path):
    """A function that packs masks, given by split as lists of their only value or of "half", and checks them."""

    def check(**masks):
        assignments = []
        for split in SPLITS:
            trimaps = np.full((len(masks[split]), 8, 8), 2, np.uint8)
            for i, value in enumerate(masks[split]):
                if value == "half":
                    trimaps[i, :4] = 1
                else:
                    trimaps[i] = value
                assignments.append(Assignment(Entry(f"{split}_{i}", split, "unknown"), split))
            (tmp_path / split).mkdir()
            np.save(tmp_path / split / "trimaps.npy", trimaps)
            np.save(tmp_path / split / "images.npy", np.zeros((len(trimaps), 8, 8, 3), np.uint8))
        return empty_masks.check(tmp_path, assignments)

    return check


def test_nothing_is_said_about_good_masks(packed):
    assert packed(train=["half", 1, "half"], valid=["half"], test=["half", 3]) == ""


def test_masks_without_a_pet_are_counted_and_named(packed):
    said = packed(train=[2, 2, "half", 2, 2], valid=["half"], test=[2, "half"])
    assert said == "masks without any pet: 4 train (train_0, train_1, train_3 ...), 1 test (test_0)"


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_without_any_pet_is_refused(packed, split):
    masks = {name: ["half", 1] for name in SPLITS} | {split: [2, 2]}
    with pytest.raises(DataError, match=rf"None of the 2 {split} masks has any pet, {split}_0 for one"):
        packed(**masks)


def test_train_masks_that_are_full_are_refused(packed):
    with pytest.raises(DataError, match="All 2 train masks are pet everywhere, train_0 for one"):
        packed(train=[1, 3], valid=["half"], test=["half"])


def test_border_counts_as_pet():
    trimaps = np.array([[[2, 2]], [[2, 3]], [[1, 2]]], np.uint8)
    assert empty_masks.has_pet(trimaps).tolist() == [False, True, True]
