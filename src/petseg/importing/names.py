"""Names of the images in the new data set: without spaces, unique, with the breed before a final number."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from petseg.importing.pairs import tidy
from petseg.importing.scan import shared_start

_NUMBERED = re.compile(r"(?P<breed>.+)_(?P<number>\d+)")


class Old(NamedTuple):
    """What an image was called."""

    name: str
    group: tuple[str, ...]  # folders that say neither split nor kind
    page: int | None  # from 0; None if the file has a single page


def clean(text: str) -> str:
    """A text that can be a word in a list: NFC, without spaces, separators and control characters."""
    text = "".join("_" if character in "\\/" or not character.isprintable() else character for character in tidy(text))
    return text.lstrip("#.") or "image"


def assign(old: Sequence[Old]) -> list[str]:
    """New names, in the order of `old`.

    Images in a subfolder get its name and a number, so that the folder is their breed: cat/tom.jpg becomes cat_1, and
    dog/dog_7.jpg stays dog_7. Folders that hold all images do not count. Names that occur twice get another number.
    """
    shared = shared_start([each.group for each in old])
    groups = ["_".join(map(clean, each.group[shared:])) for each in old]
    bases = [_base(each) for each in old]
    names = list(bases)
    for group in dict.fromkeys(filter(None, groups)):
        members = [i for i, each in enumerate(groups) if each == group]
        for i, name in zip(members, _in_group(group, [bases[i] for i in members]), strict=True):
            names[i] = name
    return _unique(names)


def _base(old: Old) -> str:
    return clean(old.name) if old.page is None else f"{clean(old.name)}_{old.page + 1:02d}"


def _in_group(group: str, bases: Sequence[str]) -> list[str]:
    """The names of all images of a group: their own if these are numbers or the group with a number, else new ones."""
    pattern = re.compile(rf"(?:{re.escape(group)}_)?(\d+)", re.IGNORECASE)
    fits = [pattern.fullmatch(base) for base in bases]
    if all(fits):
        return [f"{group}_{fit[1]}" for fit in fits if fit]
    return [f"{group}_{i}" for i in range(1, len(bases) + 1)]


def _unique(names: Sequence[str]) -> list[str]:
    """Renames what is there already, also in another case, since some file systems do not tell them apart."""
    taken = {name.casefold() for name in names}
    seen: set[str] = set()
    found = []
    for name in names:
        if name.casefold() in seen:
            numbered = _NUMBERED.fullmatch(name)
            start, stem = (int(numbered["number"]), f"{numbered['breed']}_") if numbered else (1, f"{name}-")
            number = start + 1
            while f"{stem}{number}".casefold() in taken:
                number += 1
            name = f"{stem}{number}"
            taken.add(name.casefold())
        seen.add(name.casefold())
        found.append(name)
    return found
