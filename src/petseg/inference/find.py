"""Finds photographs in what a user typed: files, folders and patterns."""

import functools
import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# In upper or lower case. A file that is named by itself may have any suffix.
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".webp", ".bmp", ".tif", ".tiff"),
    *(".heic", ".heif", ".hif", ".avif", ".jp2", ".ppm", ".pgm"),
)
# What petseg itself writes, see `outputs.py`.
_RESULT = re.compile(r".+_(mask|cutout|overlay|probability)\.(png|webp|jpg)")


@dataclass(frozen=True)
class Job:
    """A photograph to predict.

    Attributes:
        path: the file.
        name: of its results: a path below the output folder, without the ending that tells them apart.
    """

    path: Path
    name: Path


def find(arguments: Sequence[str], recursive: bool = False) -> list[Job]:
    """Returns the photographs that the arguments name, each once, in a fixed order.

    A folder stands for the files in it that have one of `SUFFIXES`, a pattern such as `*.jpg` for what matches it.
    Both leave out hidden files and files named like results. Results are named after the photograph without its suffix,
    or with it if two photographs in a folder differ only in the suffix. With subfolders or several folders, results are
    written to subfolders of the same names.

    Args:
        arguments: paths, which need not exist, and patterns.
        recursive: include the subfolders of folders.
    """
    expanded = [path for argument in arguments for path in _expand(argument)]
    several = len({path.resolve() for path in expanded if path.is_dir()}) > 1
    stems = functools.cache(_stems)
    found: dict[Path, Job] = {}
    for path in expanded:
        for photo in _photos_in(path, recursive) if path.is_dir() else [path]:
            subfolder = photo.parent.relative_to(path) if path.is_dir() else Path()
            if several and path.is_dir():
                subfolder = path.resolve().name / subfolder
            unique = photo.suffix.lower() in SUFFIXES and stems(photo.parent)[photo.stem] <= 1
            found.setdefault(photo.resolve(), Job(photo, subfolder / (photo.stem if unique else photo.name)))
    return list(found.values())


def _expand(argument: str) -> list[Path]:
    """The paths that a pattern matches; the path itself if it exists or is no pattern."""
    if os.path.exists(argument) or not glob.has_magic(argument):
        return [Path(argument)]
    matches = map(Path, sorted(glob.glob(argument, recursive=True)))
    return [path for path in matches if path.is_dir() or _is_photo(path)]


def _photos_in(folder: Path, recursive: bool) -> Iterator[Path]:
    """The photographs of a folder, sorted, then the photographs of its subfolders."""
    for parent, folders, files in os.walk(folder, onerror=_raise):
        yield from filter(_is_photo, (Path(parent, name) for name in sorted(files)))
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))


def _is_photo(path: Path) -> bool:
    hidden, known = path.name.startswith("."), path.suffix.lower() in SUFFIXES
    return known and not hidden and not _RESULT.fullmatch(path.name) and path.is_file()


def _stems(folder: Path) -> Counter[str]:
    """How many photographs of a folder have each stem."""
    try:
        return Counter(path.stem for path in folder.iterdir() if _is_photo(path))
    except OSError:  # no such folder
        return Counter()


def _raise(error: OSError) -> None:
    raise error
