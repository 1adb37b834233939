"""The lists trainval.txt and test.txt, from folders or lists called train, val and test."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from petseg.data import layout
from petseg.data.sources.folder import UNKNOWN_CLASS
from petseg.importing.pairs import SPLIT_WORDS, tidy
from petseg.runtime.errors import DataError

VALID_EVERY = 10  # with split.rule=report, every tenth line of trainval.txt is a validation image


class Listed(NamedTuple):
    """A line of the user's lists."""

    name: str
    split: str  # train, valid or test
    numbers: str  # class, species and breed, or zeros


class Lists(NamedTuple):
    """What the lists hold, as positions of images; both are empty if the source `folder` is to divide the images."""

    trainval: list[int]
    test: list[int]
    text: str


def read(texts: Sequence[Path], known: set[str]) -> tuple[Path, list[Listed]] | None:
    """The user's lists: the folder whose lists name the most of the `known` images; None if there are none.

    train.txt and val.txt win over trainval.txt.

    Raises:
        DataError: lists of different splits name the same image.
    """
    folders: dict[Path, list[Path]] = {}
    for path in texts:
        if path.stem.lower() in SPLIT_WORDS:
            folders.setdefault(path.parent, []).append(path)
    found = {folder: _read_folder(paths, known) for folder, paths in folders.items()}
    best = max(found, key=lambda folder: len(found[folder]), default=None)
    if best is None or not found[best]:
        return None
    split_of: dict[str, str] = {}
    for line in found[best]:
        if split_of.setdefault(line.name, line.split) != line.split:
            raise DataError(
                f"{line.name} is in the lists of {split_of[line.name]} and {line.split} in {best}; remove it from one "
                "of them."
            )
    return best, found[best]


def _read_folder(paths: Sequence[Path], known: set[str]) -> list[Listed]:
    if any(path.stem.lower() == "train" for path in paths):
        paths = [path for path in paths if path.stem.lower() != "trainval"]
    found = []
    for path in paths:
        for line in _lines(path):
            word, *numbers = line.split()
            name = word if word in known else tidy(PurePosixPath(word).stem)
            if name in known:
                is_official = len(numbers) == 3 and all(map(str.isdecimal, numbers)) and numbers[1] in layout.SPECIES
                found.append(
                    Listed(name, SPLIT_WORDS[path.stem.lower()], " ".join(numbers) if is_official else UNKNOWN_CLASS)
                )
    return found


def _lines(path: Path) -> list[str]:
    try:
        return [line for _, line in layout.list_lines(path)]
    except DataError:  # some other text
        return []


def assemble(split_of: Mapping[int, str]) -> Lists:
    """Orders images so that the rule `report` finds the validation images, as far as numbers permit.

    Args:
        split_of: train, valid, test or "" for each image; the lists keep this order.
    """
    train, valid, test = ([i for i, split in split_of.items() if split == name] for name in ("train", "valid", "test"))
    said = ""
    if not test and train:
        test, valid = valid, []
        said = "there is no test split with masks, so the validation images become test.txt; " if test else ""
    if not (train or valid) or not test:
        return Lists([], [], "none; every fifth image will be a test image")
    trainval = interleave(train, valid)
    validating = trainval[::VALID_EVERY]
    kept = len(set(validating) & set(valid))
    if valid:
        said += f"{kept} of {len(valid)} validation images stay so (every tenth line of trainval.txt)"
        said += f", {len(valid) - kept} are trained on" if len(valid) > kept else ""
        said += f", {len(validating) - kept} training images join them" if len(validating) > kept else ""
        said += "; "
    unlisted = sum(not split for split in split_of.values())
    said += f"{unlisted} images in neither list stay unused; " if unlisted else ""
    return Lists(trainval, test, f"{said}trainval.txt has {len(trainval)} lines, test.txt {len(test)}")


def interleave(train: Sequence[int], valid: Sequence[int]) -> list[int]:
    """All of both, with those of `valid` on every tenth place from the first on, as long as there are any."""
    rest, waiting = list(train), list(valid)
    places = range(0, len(rest) + len(waiting), VALID_EVERY)
    chosen, left = waiting[: len(places)], rest + waiting[len(places) :]
    found: list[int] = []
    while left or chosen:
        source = chosen if chosen and (len(found) % VALID_EVERY == 0 or not left) else left
        found.append(source.pop(0))
    return found
