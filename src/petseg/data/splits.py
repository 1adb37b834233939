"""The assignment of images to train, valid and test, and data/splits.csv, which records it."""

import difflib
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from petseg.data.layout import Entry
from petseg.runtime.errors import DataError
from petseg.runtime.files import atomic_file

SPLITS = ("train", "valid", "test")
TABLE = Path("data/splits.csv")
COLUMNS = ("name", "split", "breed", "species", "width", "height")


class Assignment(NamedTuple):
    """An image and its split."""

    entry: Entry
    split: str


def split(trainval: Sequence[Entry], test: Sequence[Entry], rule: str, seed: int) -> list[Assignment]:
    """Divides `trainval` into train and valid; `test` is the test split.

    Args:
        trainval: the entries of trainval.txt, in file order.
        test: the entries of test.txt, in file order.
        rule: `report`: line i of trainval.txt, from 0, is valid if i % 10 == 0. `stratified`: a random tenth of each
            breed is valid (rounded; at least one of a breed with two or more images), whatever the order of the list.
        seed: of the random choice of `stratified`.

    Returns:
        All train images, then all valid, then all test, each in file order.

    Raises:
        DataError: train or valid would be empty.
    """
    valid = set(trainval[::10]) if rule == "report" else _sample_tenth_of_each_breed(trainval, seed)
    if not 0 < len(valid) < len(trainval):
        raise DataError(
            f"The {'train' if valid else 'valid'} split would be empty: trainval.txt has {len(trainval)} image(s), too "
            f"few for split.rule={rule}; add images, or choose the other rule in params.yaml."
        )
    assignments = [Assignment(entry, "valid" if entry in valid else "train") for entry in trainval]
    assignments += [Assignment(entry, "test") for entry in test]
    return sorted(assignments, key=lambda assignment: SPLITS.index(assignment.split))


def exclude(assignments: Sequence[Assignment], names: Iterable[str]) -> list[Assignment]:
    """Leaves images out; all others stay in their splits.

    Raises:
        DataError: an image of this name does not exist, or a split would be empty.
    """
    names = set(names)
    existing = [assignment.entry.name for assignment in assignments]
    for name in sorted(names.difference(existing)):
        near = difflib.get_close_matches(name, existing, n=1)
        hint = f"the nearest name is {near[0]}" if near else "names are written without suffix, as in data/splits.csv"
        raise DataError(f"split.exclude names {name}, but no image has this name; {hint}.")
    return _nonempty([each for each in assignments if each.entry.name not in names], "split.exclude")


def keep_together(assignments: Sequence[Assignment], groups: Iterable[Sequence[str]]) -> list[Assignment]:
    """Keeps each group of images within one split, without any change of the test split.

    Train and valid lose the images that have a copy in test. A group in train and valid becomes part of train.

    Args:
        assignments: train first, as `split` returns them.
        groups: names of images that belong together; no name is in two groups.

    Raises:
        DataError: a split would be empty.
    """
    split_of = {assignment.entry.name: assignment.split for assignment in assignments}
    for group in groups:
        found = {split_of[name] for name in group}
        if len(found) > 1:
            target = None if "test" in found else "train"
            split_of |= {name: target for name in group if split_of[name] != "test"}
    kept = [each._replace(split=split_of[each.entry.name]) for each in assignments if split_of[each.entry.name]]
    return _nonempty(sorted(kept, key=lambda each: SPLITS.index(each.split)), "split.group=duplicates")


def limit(assignments: Sequence[Assignment], count: int, seed: int) -> list[Assignment]:
    """Keeps at most `count` random train images; valid and test stay as they are.

    With the same seed, a smaller count keeps a subset of what a larger one keeps.
    """
    train = [assignment for assignment in assignments if assignment.split == "train"]
    order = np.random.default_rng(seed).permutation(len(train))
    left_out = {train[i] for i in order[count:]}
    return [assignment for assignment in assignments if assignment not in left_out]


def _nonempty(assignments: list[Assignment], cause: str) -> list[Assignment]:
    """Returns its argument; raises DataError if a split has no image."""
    for name in SPLITS:
        if all(assignment.split != name for assignment in assignments):
            raise DataError(f"{cause} leaves no image in the {name} split; add images, or leave out fewer.")
    return assignments


def write_table(assignments: Sequence[Assignment], sizes: Iterable[tuple[int, int]], path: str | Path = TABLE) -> None:
    """Writes a CSV file with COLUMNS, one line per image in the order of `assignments`, atomically.

    `sizes` has the original (width, height) of each image, in pixels.
    """
    rows = [
        (entry.name, split_name, entry.breed, entry.species, width, height)
        for (entry, split_name), (width, height) in zip(assignments, sizes, strict=True)
    ]
    with atomic_file(path) as part:
        pd.DataFrame(rows, columns=COLUMNS).to_csv(part, index=False, lineterminator="\n")


def read_table(path: str | Path = TABLE) -> pd.DataFrame:
    """Reads COLUMNS, int64 for width and height, text for the others; raises DataError if the file is missing."""
    types: dict[Hashable, str] = {**dict.fromkeys(COLUMNS, "str"), "width": "int64", "height": "int64"}
    try:
        return pd.read_csv(path, dtype=types, keep_default_na=False)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; run `dvc repro split`, which writes it.") from None


def _sample_tenth_of_each_breed(trainval: Sequence[Entry], seed: int) -> set[Entry]:
    rng = np.random.default_rng(seed)
    valid: set[Entry] = set()
    for breed in sorted({entry.breed for entry in trainval}):
        entries = sorted(entry for entry in trainval if entry.breed == breed)
        count = max(1, (len(entries) + 5) // 10) if len(entries) > 1 else 0
        valid.update(entries[i] for i in rng.permutation(len(entries))[:count])
    return valid
