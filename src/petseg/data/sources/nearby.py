"""What lies near a file that is missing, and the command that cures it."""

import shlex
import unicodedata
from collections.abc import Collection
from pathlib import Path

# Image files that the source `folder` does not read: some are converted by `petseg import`, the others are not.
CONVERTED = (".heic", ".heif", ".avif", ".jp2", ".ppm", ".pgm", ".pbm", ".tga", ".jfif")
UNREAD = (".jxl", ".psd", ".npy", ".dcm", ".nii", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2")


def cure(source: Path, *options: str) -> str:
    """The command that turns a data set into one that the source `folder` accepts."""
    name = source.resolve().name or "data"
    command = ["petseg", "import", str(source), "--out", f"{name}-clean", *options]
    return f"run: {shlex.join(command)}"


def conversion(image: Path, source: Path) -> str:
    """What to do about an image of a format that the source `folder` does not read."""
    return cure(source) if image.suffix.lower() in CONVERTED else "convert it to JPEG or PNG."


def similar(stem: str, stems: Collection[str]) -> str | None:
    """The stem that holds `stem`, or is held by it, such as rex_3_mask for rex_3; the shortest, or None."""
    wanted = _plain(stem)
    found = [each for each in stems if _holds(_plain(each), wanted) or _holds(wanted, _plain(each))]
    return min(found, key=lambda each: (len(each), each), default=None)


def _plain(stem: str) -> str:
    return "_".join(unicodedata.normalize("NFC", stem).split()).casefold()


def _holds(long: str, short: str) -> bool:
    """Whether `short` is a part of `long` that does not cut a number in two: 1 is no part of 12_mask."""
    before, part, after = long.partition(short)
    cut = (before[-1:].isdecimal() and short[0].isdecimal()) or (after[:1].isdecimal() and short[-1].isdecimal())
    return bool(part) and not cut
