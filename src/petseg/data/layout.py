"""The official layout of Oxford-IIIT Pet, which every source brings its images into, read strictly.

    RAW/images/NAME.jpg                   photographs, in any format that Pillow reads, whatever the suffix
    RAW/annotations/trimaps/NAME.png      1 pet, 2 background, 3 border
    RAW/annotations/{trainval,test}.txt   one image a line: NAME CLASS SPECIES BREED_ID

Only what the two lists name is ever opened: the official archives' `.mat` and `._` files and unlisted images do no
harm.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from petseg.runtime.errors import DataError

RAW = Path("data/raw")
LISTS = ("trainval.txt", "test.txt")
SPECIES = {"0": "unknown", "1": "cat", "2": "dog"}  # 0: of a user's own images whose list does not say
UNKNOWN_BREED = "unknown"

_LINE = re.compile(r"(?P<name>[^\s./\\][^\s/\\]*)\s+\d+\s+(?P<species>[012])\s+\d+")
_NUMBERED = re.compile(r"(?P<breed>.+)_\d+")


class Entry(NamedTuple):
    """One line of a list."""

    name: str  # of the image, without folder and suffix: american_bulldog_12
    breed: str  # the name without its number: american_bulldog; UNKNOWN_BREED where it has none
    species: str  # cat, dog or unknown


def image_path(raw: str | Path, name: str) -> Path:
    """Where the photograph `name` lies."""
    return Path(raw) / "images" / f"{name}.jpg"


def trimap_path(raw: str | Path, name: str) -> Path:
    """Where the trimap of the photograph `name` lies."""
    return Path(raw) / "annotations" / "trimaps" / f"{name}.png"


def read_lists(raw: str | Path = RAW) -> tuple[list[Entry], list[Entry]]:
    """Reads trainval.txt and test.txt, each in file order. Blank lines and lines that start with # are skipped.

    Raises:
        DataError: a list is missing, is no text or names nothing; a line is malformed; a name occurs twice, in one
            list or in both.
    """
    trainval_path, test_path = (Path(raw) / "annotations" / name for name in LISTS)
    trainval, test = _read_list(trainval_path), _read_list(test_path)
    both = {entry.name for entry in trainval} & {entry.name for entry in test}
    if both:
        first = next(entry.name for entry in trainval if entry.name in both)
        raise DataError(
            f"{first}{_and_more(both)} is in {trainval_path} and in {test_path}: what is tested must not be trained "
            "on; take it out of one of the two."
        )
    return trainval, test


def check(raw: str | Path = RAW) -> tuple[list[Entry], list[Entry]]:
    """Reads the lists as `read_lists` does, and makes sure that every listed image and trimap exists.

    Raises:
        DataError: as for `read_lists`; or a listed image, its trimap or both are missing (the first in list order).
    """
    trainval, test = read_lists(raw)
    for list_name, entries in zip(LISTS, (trainval, test), strict=True):
        missing = list(_missing(raw, entries))
        if missing:
            raise DataError(
                f"{missing[0]}{_and_more(missing)}, but is listed in {Path(raw) / 'annotations' / list_name}: add what "
                "is missing, or take the line out of the list."
            )
    return trainval, test


def _read_list(path: Path) -> list[Entry]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; run `dvc repro fetch_data`, which writes it.") from None
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path} cannot be read as text ({error}); fetch or write it again.") from None
    first_seen: dict[str, int] = {}
    entries = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise DataError(
                f"{path}, line {number} is {line.strip()!r}, not NAME CLASS SPECIES BREED_ID with species 1 (cat), 2 "
                "(dog) or 0 (unknown) as in `Abyssinian_100 1 1 1`; correct the line."
            )
        name = match["name"]
        if name in first_seen:
            raise DataError(f"{path} names {name} twice, in lines {first_seen[name]} and {number}; remove one of them.")
        first_seen[name] = number
        numbered = _NUMBERED.fullmatch(name)
        entries.append(Entry(name, numbered["breed"] if numbered else UNKNOWN_BREED, SPECIES[match["species"]]))
    if not entries:
        raise DataError(f"{path} lists no image; add lines such as `Abyssinian_100 1 1 1`, or fetch the list again.")
    return entries


def _missing(raw: str | Path, entries: Sequence[Entry]) -> Iterator[str]:
    """For each entry that is not whole, the beginning of a sentence that says what of it is missing."""
    for entry in entries:
        image, trimap = image_path(raw, entry.name), trimap_path(raw, entry.name)
        has_image, has_trimap = image.is_file(), trimap.is_file()
        if not has_image and not has_trimap:
            yield f"{entry.name} has neither an image ({image}) nor a trimap ({trimap})"
        elif not has_image:
            yield f"{entry.name} has a trimap but no image ({image})"
        elif not has_trimap:
            yield f"{entry.name} has an image but no trimap ({trimap})"


def _and_more(found: Sequence | set) -> str:
    return f" (and {len(found) - 1} more)" if len(found) > 1 else ""
