"""The images of a data set that have a truth: masks, annotations or transparency."""

from dataclasses import dataclass, field
from pathlib import Path

from petseg.importing import annotations, decoding, pairs
from petseg.importing.pairs import Place
from petseg.importing.scan import Files, count, describe
from petseg.importing.shapes import Shape
from petseg.runtime.errors import DataError

KINDS = ("files", "annotations", "alpha")


@dataclass(frozen=True)
class Candidate:
    """An image with what its mask is made of. With neither masks nor shapes, it is the image's transparency."""

    place: Place
    name: str
    masks: tuple[Path, ...] = ()
    shapes: tuple[Shape, ...] = ()
    annotated: bool = False
    size: tuple[int, int] | None = None  # of the annotated image, if the annotation says so


@dataclass
class Found:
    """What was found and how it was understood, in lines for the user."""

    kind: str  # one of KINDS
    candidates: list[Candidate]
    said: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    guesses: list[str] = field(default_factory=list)


def find(files: Files, kind: str | None) -> Found:
    """Looks for mask files, then for annotations, then for cut-outs; `kind` chooses one of them.

    Raises:
        DataError: there is no truth, or it is ambiguous.
    """
    if kind not in (None, *KINDS):
        raise DataError(f"--masks is {kind!r}; it can be {', '.join(KINDS)}.")
    finders = {"files": _by_files, "annotations": _by_annotations, "alpha": _by_alpha}
    for name, finder in finders.items():
        if kind in (None, name) and (found := finder(files)):
            if files.unread:
                found.left_out.append(
                    f"{count(len(files.unread), 'image')} of kinds that are not read: "
                    f"{describe(files.unread, files.root)}"
                )
            return found
    nothing = "no masks" if kind is None else f"no truth for --masks {kind}"
    raise DataError(
        f"{files.root} holds {count(len(files.images), 'image')} ({describe(files.images, files.root)}), but {nothing} "
        "among them: an image and its mask have the same name up to a prefix or suffix, such as rex.jpg and "
        "rex_mask.png; put images into images/ and masks into masks/."
    )


def _by_files(files: Files) -> Found | None:
    match = pairs.match(files)
    if match is None:
        return None
    found = Found("files", [Candidate(pair.image, pair.name, pair.masks) for pair in match.pairs])
    first = next((pair for pair in match.pairs), None)
    if first is not None:
        shown = " and ".join(str(path.relative_to(files.root)) for path in (first.image.path, *first.masks[:1]))
        found.said.append(f"pairs: {match.rule}, such as {shown}")
    if match.guess:
        found.guesses.append(match.guess)
    parts = [mask for pair in match.pairs for mask in pair.masks[1:]]
    if parts:
        found.guesses.append(
            f"masks of one image are united, such as {describe(parts[:1], files.root)} ({count(len(parts), 'mask')})"
        )
    used = {path for pair in match.pairs for path in (pair.image.path, *pair.masks)}
    others = [each for each in files.images if each not in {*used, *match.images, *match.masks}]
    for paths, text in (
        (match.images, "without a mask"),
        (match.masks, "that fit no image or are not needed"),
        (others, "that are neither images nor masks"),
    ):
        if paths:
            noun = "mask" if paths is match.masks else "image" if paths is match.images else "file"
            found.left_out.append(f"{count(len(paths), noun)} {text}: {describe(paths, files.root)}")
    return found


def _by_annotations(files: Files) -> Found | None:
    annotated = annotations.find(files)
    if annotated is None:
        return None
    candidates = [
        Candidate(
            pairs.place(path, files.root),
            pairs.tidy(path.stem),
            shapes=tuple(annotated.shapes(path)),
            annotated=True,
            size=each[0].size,
        )
        for path, each in sorted(annotated.pictures.items())
    ]
    found = Found("annotations", candidates)
    objects = sum(len(each.shapes) for each in candidates)
    found.said.append(
        f"annotations: {annotated.kind}, {count(objects, 'object')} in {describe(annotated.files, files.root)}"
    )
    if annotated.skipped:
        found.left_out.append(f"{count(annotated.skipped, 'annotation')} without an area, such as points or lines")
    if annotated.missing:
        names = ", ".join(name[:80] for name in annotated.missing[:3])
        found.left_out.append(f"{count(len(annotated.missing), 'annotation')} whose image is not there: {names}")
    rest = [path for path in files.images if path not in annotated.pictures]
    if rest:
        found.left_out.append(f"{count(len(rest), 'image')} without annotation: {describe(rest, files.root)}")
    return found


def _by_alpha(files: Files) -> Found | None:
    transparent = [path for path in files.images if decoding.look(path).has_alpha]
    if not transparent:
        return None
    candidates = [Candidate(pairs.place(path, files.root), pairs.tidy(path.stem)) for path in transparent]
    found = Found("alpha", candidates, ["cut-outs: the transparency of the images is their mask"])
    rest = [path for path in files.images if path not in set(transparent)]
    if rest:
        found.left_out.append(f"{count(len(rest), 'image')} without transparency: {describe(rest, files.root)}")
    return found
