"""The files of a data set, by kind."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from petseg.data.sources import folder, nearby
from petseg.runtime.errors import DataError

READ = folder.SUFFIXES + nearby.CONVERTED
_IGNORED = ("__macosx",)


@dataclass
class Files:
    """The files of a folder and its subfolders, each sorted; hidden ones are left out."""

    root: Path
    images: list[Path] = field(default_factory=list)
    annotations: list[Path] = field(default_factory=list)  # JSON and XML
    texts: list[Path] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)  # images of kinds that nothing here reads


def scan(root: Path) -> Files:
    """Lists the files below `root`; links to folders are not followed.

    Raises:
        DataError: `root` is missing, is not a folder or holds no image and no annotation, or a folder is unreadable.
    """
    if not root.is_dir():
        is_file = "is a file; unpack it, and name the folder" if root.exists() else "does not exist; check its name"
        raise DataError(f"{root} {is_file}.")
    found = Files(root)
    for where, folders, names in os.walk(root, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name.lower() not in _IGNORED)
        for name in sorted(names):
            if not name.startswith("."):
                _sort(found, Path(where, name))
    if not found.images and not found.annotations:
        unread = f" that can be read, but {describe(found.unread, root)}" if found.unread else ""
        raise DataError(f"{root} holds no image{unread}; name the folder that has images and masks in it.")
    return found


def _sort(found: Files, path: Path) -> None:
    suffix = path.suffix.lower()
    if suffix in READ:
        found.images.append(path)
    elif suffix in (".json", ".xml"):
        found.annotations.append(path)
    elif suffix == ".txt":
        found.texts.append(path)
    elif suffix in nearby.UNREAD:
        found.unread.append(path)


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be read ({error.strerror}); change its permissions.") from None


def describe(paths: Sequence[Path], root: Path, most: int = 3) -> str:
    """Some files in words: "a.jpg, b.jpg, c.jpg and 4 others"."""
    shown = ", ".join(str(path.relative_to(root)) for path in paths[:most])
    others = len(paths) - most
    return shown + (f" and {others} other{'s' * (others > 1)}" if others > 0 else "")


def count(number: int, noun: str) -> str:
    """A number and a noun: "1 image", "2 images"."""
    return f"{number:,} {noun}{'' if number == 1 else 'es' if noun.endswith('x') else 's'}"


def shared_start(sequences: Sequence[Sequence[str]]) -> int:
    """How many elements, from the first on, are the same in all sequences (all characters, if they are texts)."""
    columns = zip(*sequences, strict=False)
    return next((i for i, column in enumerate(columns) if len(set(column)) > 1), min(map(len, sequences)))
