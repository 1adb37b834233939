"""The official layout of Oxford-IIIT Pet, to which every source is converted.

    RAW/images/NAME.jpg                   photographs, in any format that Pillow reads, whatever the suffix
    RAW/annotations/trimaps/NAME.png      1 pet, 2 background, 3 border
    RAW/annotations/{trainval,test}.txt   one image per line: NAME CLASS SPECIES BREED_ID

Only files named in the two lists are opened. The `.mat` and `._` files of the official archives and unlisted images are
ignored.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from petseg.runtime.errors import DataError

RAW = Path("data/raw")
LISTS = ("trainval.txt", "test.txt")
SPECIES = {"0": "unknown", "1": "cat", "2": "dog"}  # 0: the user's own list does not say
UNKNOWN_BREED = "unknown"

_LINE = re.compile(r"(?P<name>[^\s./\\][^\s/\\]*)\s+\d+\s+(?P<species>[012])\s+\d+")
_NUMBERED = re.compile(r"(?P<breed>.+)_\d+")


class Entry(NamedTuple):
    """One line of a list."""

    name: str  # of the image, without folder and suffix, such as american_bulldog_12
    breed: str  # the name without its number, such as american_bulldog; UNKNOWN_BREED if it has no number
    species: str  # cat, dog or unknown


def image_path(raw: str | Path, name: str) -> Path:
    """The path of the photograph `name`."""
    return Path(raw) / "images" / f"{name}.jpg"


def trimap_path(raw: str | Path, name: str) -> Path:
    """The path of the trimap of the photograph `name`."""
    return Path(raw) / "annotations" / "trimaps" / f"{name}.png"


def read_lists(raw: str | Path = RAW) -> tuple[list[Entry], list[Entry]]:
    """Reads trainval.txt and test.txt, each in file order. Blank lines and lines that start with # are skipped.

    Raises:
        DataError: a list is missing, not text, or empty; a line is malformed; a name occurs twice, in one list or in
            both.
    """
    trainval_path, test_path = (Path(raw) / "annotations" / name for name in LISTS)
    trainval, test = _read_list(trainval_path), _read_list(test_path)
    tested = {entry.name for entry in test}
    if both := [entry.name for entry in trainval if entry.name in tested]:
        raise DataError(
            f"{both[0]}{_and_more(both)} is in {trainval_path} and in {test_path}; remove it from one of them, because "
            "test images must not be trained on."
        )
    return trainval, test


def check(raw: str | Path = RAW) -> tuple[list[Entry], list[Entry]]:
    """Reads the lists as `read_lists` does, and checks that every listed image and trimap exists.

    Raises:
        DataError: as for `read_lists`; or files of a listed image are missing. The first in list order is named.
    """
    trainval, test = read_lists(raw)
    for list_name, entries in zip(LISTS, (trainval, test), strict=True):
        paths = [path(raw, entry.name) for entry in entries for path in (image_path, trimap_path)]
        if missing := [path for path in paths if not path.is_file()]:
            raise DataError(
                f"{missing[0]}{_and_more(missing)} does not exist; add it, or remove {missing[0].stem} from "
                f"{Path(raw) / 'annotations' / list_name}."
            )
    return trainval, test


def list_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yields number (from 1) and stripped text of the lines of a list, without blank lines and comments.

    Raises:
        DataError: the file is missing or not text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; run `dvc repro fetch_data`, which writes it.") from None
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path} cannot be read as text ({error}); save it as UTF-8.") from None
    for number, line in enumerate(lines, start=1):
        line = line.strip()
        if line and not line.startswith("#"):
            yield number, line


def _read_list(path: Path) -> list[Entry]:
    first_seen: dict[str, int] = {}
    entries = []
    for number, line in list_lines(path):
        match = _LINE.fullmatch(line)
        if match is None:
            raise DataError(
                f"{path}, line {number} is {line!r}, not NAME CLASS SPECIES BREED_ID with species 1 (cat), 2 (dog) or "
                "0 (unknown) as in `Abyssinian_100 1 1 1`; correct the line."
            )
        name = match["name"]
        if name in first_seen:
            raise DataError(f"{path} lists {name} twice, in lines {first_seen[name]} and {number}; remove one of them.")
        first_seen[name] = number
        numbered = _NUMBERED.fullmatch(name)
        entries.append(Entry(name, numbered["breed"] if numbered else UNKNOWN_BREED, SPECIES[match["species"]]))
    if not entries:
        raise DataError(f"{path} lists no image; add lines such as `Abyssinian_100 1 1 1`.")
    return entries


def _and_more(found: Collection) -> str:
    return f" (and {len(found) - 1} more)" if len(found) > 1 else ""
