"""Annotation files of a data set, and the images that they name."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from petseg.importing import formats
from petseg.importing.formats import Picture
from petseg.importing.pairs import tidy
from petseg.importing.scan import Files, describe
from petseg.importing.shapes import Shape
from petseg.runtime.errors import DataError


@dataclass
class Annotated:
    """The annotations of a data set."""

    kind: str
    files: list[Path]
    pictures: dict[Path, list[Picture]] = field(default_factory=dict)  # by the file of the image
    missing: list[str] = field(default_factory=list)  # names of images that are not there
    skipped: int = 0  # shapes without an area

    def shapes(self, image: Path) -> list[Shape]:
        """All shapes of an image."""
        return [shape for picture in self.pictures[image] for shape in picture.shapes]


def find(files: Files) -> Annotated | None:
    """Reads the annotations of a data set; None if there are none.

    Images are looked up among `files`: a name in an annotation never leads to another file.

    Raises:
        DataError: a file is damaged; files have different formats; an image is named ambiguously; no named image is
            there.
    """
    contents = [(path, content) for path in files.annotations if (content := _read(path)) is not None]
    known = [(path, kind, content) for path, content in contents if (kind := formats.kind(content))]
    if not known:
        return None
    kinds = {kind: path for path, kind, _ in reversed(known)}
    if len(kinds) > 1:
        (one, path), (other, path_2) = list(kinds.items())[:2]
        raise DataError(f"{path} is a file of {one} and {path_2} of {other}; leave the annotations of one kind.")
    found = Annotated(known[0][1], [path for path, _, _ in known])
    by_name: dict[str, list[Path]] = {}
    for path in files.images:
        by_name.setdefault(tidy(path.name), []).append(path)
    for path, kind, content in known:
        for picture in _parse(path, kind, content):
            image = _look_up(picture.name, path, by_name)
            found.skipped += picture.skipped
            if image is None:
                found.missing.append(picture.name)
            else:
                found.pictures.setdefault(image, []).append(picture)
    if not found.pictures:
        raise DataError(
            f"{known[0][0]} names {found.missing[0][:80] if found.missing else 'no image'}, and no image that "
            f"{describe(found.files, files.root)} names lies below {files.root}; put the images there."
        )
    return found


def _read(path: Path) -> Any:
    """The content of a JSON or XML file."""
    try:
        if path.suffix.lower() == ".xml":
            return ElementTree.fromstring(_safe_xml(path))
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); make it a readable file.") from None
    except RecursionError:
        raise DataError(f"{path} is nested too deeply for annotations; remove it.") from None
    except (ValueError, ElementTree.ParseError) as error:  # json's errors, and text that is not UTF-8
        raise DataError(
            f"{path} is no valid {path.suffix[1:].upper()} ({error}); export the annotations again, or remove it."
        ) from None


def _safe_xml(path: Path) -> bytes:
    """The content of an XML file, which must not define entities: they can expand without end."""
    content = path.read_bytes()
    if b"<!ENTITY" in content:
        raise ValueError("it defines entities")
    return content


def _parse(path: Path, kind: str, content: Any) -> list[Picture]:
    try:
        return list(formats.PARSERS[kind](content))
    except Exception as error:  # damaged content can raise exceptions of any type
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise DataError(
            f"{path} looks like {kind}, but cannot be understood ({reason[:200]}); export the annotations again."
        ) from None


def _look_up(name: str, near: Path, by_name: dict[str, list[Path]]) -> Path | None:
    """The file that an annotation names: of the same name and, if there are several, with the most folders alike."""
    wanted = PurePosixPath(name.replace("\\", "/"))
    found = by_name.get(tidy(wanted.name), [])
    if len(found) < 2:
        return found[0] if found else None
    scores = [(_alike(path.parent.parts, wanted.parent.parts), path.parent == near.parent, path) for path in found]
    best = max(score[:2] for score in scores)
    chosen = [path for *score, path in scores if tuple(score) == best]
    if len(chosen) > 1:
        raise DataError(f"{near} names {name}, which can be {chosen[0]} or {chosen[1]}; rename or remove one of them.")
    return chosen[0]


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """How many of the last folders are the same."""
    count = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        count += 1
    return count
