"""Which image is train, valid or test, and data/splits.csv, which says so."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from petseg.data.layout import Entry
from petseg.runtime.errors import DataError
from petseg.runtime.files import atomic_file

SPLITS = ("train", "valid", "test")
TABLE = Path("data/splits.csv")
COLUMNS = ("name", "split", "breed", "species", "width", "height")

Row = tuple[Entry, str]  # an image and its split


def split(trainval: Sequence[Entry], test: Sequence[Entry], rule: str, seed: int) -> list[Row]:
    """Divides `trainval` into train and valid; `test` stays what it is.

    Args:
        trainval: the entries of trainval.txt, in file order.
        test: the entries of test.txt, in file order.
        rule: `report`: line i of trainval.txt, from 0, is valid where i % 10 == 0. `stratified`: a tenth of each breed
            (rounded, at least one where the breed has two images or more), drawn whatever the order of the list.
        seed: of the draw; `report` draws nothing.

    Returns:
        An (entry, split) for each image: all train, then all valid, then all test, each in file order.

    Raises:
        DataError: train or valid would be empty.
    """
    if rule == "report":
        valid = {entry.name for entry in trainval[::10]}
    elif rule == "stratified":
        valid = _tenth_of_each_breed(trainval, seed)
    else:
        raise ValueError(f"no split rule is called {rule!r}")
    chosen = {
        "train": [entry for entry in trainval if entry.name not in valid],
        "valid": [entry for entry in trainval if entry.name in valid],
        "test": test,
    }
    for name in ("train", "valid"):
        if not chosen[name]:
            raise DataError(
                f"The {name} split would be empty: trainval.txt has {len(trainval)} image(s), too few for "
                f"split.rule={rule}; add images, or choose the other rule in params.yaml."
            )
    return [(entry, name) for name in SPLITS for entry in chosen[name]]


def write_table(rows: Sequence[Row], sizes: Iterable[tuple[int, int]], path: str | Path = TABLE) -> None:
    """Writes one line an image with COLUMNS, in the order of `rows`; whole or not at all.

    Args:
        rows: as `split` returns them.
        sizes: original (width, height) of each row's image, in pixels.
        path: of the CSV file.
    """
    lines = [
        (entry.name, split_name, entry.breed, entry.species, width, height)
        for (entry, split_name), (width, height) in zip(rows, sizes, strict=True)
    ]
    with atomic_file(path) as part:
        pd.DataFrame(lines, columns=COLUMNS).to_csv(part, index=False, lineterminator="\n")


def read_table(path: str | Path = TABLE) -> pd.DataFrame:
    """Reads what `write_table` wrote: COLUMNS, text but for width and height, which are int64.

    Raises:
        DataError: the file is missing or is not such a table.
    """
    types = dict.fromkeys(COLUMNS, str) | {"width": np.int64, "height": np.int64}
    try:
        table = pd.read_csv(path, dtype=types, keep_default_na=False)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; run `dvc repro split`, which writes it.") from None
    except ValueError as error:  # of pandas too: its parser's errors are ValueErrors
        reason = " ".join(str(error).split())
        raise DataError(f"{path} is no table of splits ({reason}); run `dvc repro --force split`.") from None
    if tuple(table.columns) != COLUMNS:
        raise DataError(f"{path} must have the columns {', '.join(COLUMNS)}; run `dvc repro --force split`.")
    return table


def _tenth_of_each_breed(trainval: Sequence[Entry], seed: int) -> set[str]:
    rng = np.random.default_rng(seed)
    valid: set[str] = set()
    for breed in sorted({entry.breed for entry in trainval}):
        names = sorted(entry.name for entry in trainval if entry.breed == breed)
        count = max(1, (len(names) + 5) // 10) if len(names) > 1 else 0
        valid.update(names[i] for i in rng.permutation(len(names))[:count])
    return valid
