"""The source `folder`: a user's own photographs and masks, brought into the official layout. See own/README.md."""

import functools
import os
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePath

from PIL import Image
from tqdm import tqdm

from petseg.data import images, layout
from petseg.data.sources import masks
from petseg.runtime import pool
from petseg.runtime.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff")  # in upper or lower case
CHUNK = 16  # images that a process is given at once
TEST_EVERY = 5  # without lists, image i of the sorted names is a test image where i % TEST_EVERY == 0
UNKNOWN = "0 0 0"  # class, species and breed number of an image whose list says only its name

_LINE_NUMBERS = re.compile(r"[0-9]+ [012] [0-9]+")


def fetch(source: Path, folder: Path, workers: int) -> None:
    """Fills `folder` with the official layout of the images in `source`.

    Images keep their bytes, whatever their format; masks become trimaps, PNG. Each image is decoded once and compared
    with its mask, so that what is wrong is said now and by the name that the user knows.

    Args:
        source: holds images/ and masks/, one file of the same stem each, and perhaps trainval.txt and test.txt.
        folder: an empty folder.
        workers: processes that decode; 1 decodes in this one.

    Raises:
        DataError: `source` or one of its folders is missing or empty; an image has no mask or the reverse; two have the
            same stem, or a stem cannot stand in a list; a list names what is not there, names it twice or names
            nothing; an image or mask cannot be decoded; masks hold other values or differ in kind; sizes differ.
    """
    pairs = _pairs(source)
    lists = _lists(source, pairs)
    used = [pairs[line.split()[0]] for lines in lists.values() for line in lines]
    mask_files = [mask for _, mask in used]
    found = _map(masks.values, mask_files, workers, "looking at masks")
    kind = masks.kind(zip(mask_files, found, strict=True))

    (folder / "images").mkdir()
    (folder / "annotations" / "trimaps").mkdir(parents=True)
    _map(functools.partial(_bring, folder=folder, kind=kind), used, workers, "taking over images")
    lists["list.txt"] = [line for lines in lists.values() for line in lines]
    for name, lines in lists.items():
        (folder / "annotations" / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _pairs(source: Path) -> dict[str, tuple[Path, Path]]:
    """Image and mask of each stem, by stem in sorted order."""
    if not source.is_dir():
        raise DataError(f"data.path is {source}, which is no folder; point it to one with images/ and masks/ in it.")
    image_of, mask_of = _by_stem(source / "images"), _by_stem(source / "masks")
    for stem in sorted(image_of.keys() | mask_of.keys()):
        if stem not in mask_of:
            more = len(image_of.keys() - mask_of.keys()) - 1
            others = f" (nor have {more} others)" if more else ""
            raise DataError(f"{image_of[stem]} has no mask{others}; add {source / 'masks' / stem}.png or remove it.")
        if stem not in image_of and (other := next((source / "images").glob(f"{stem}.*"), None)):
            raise DataError(f"{other} is in a format that is not read; convert it to JPEG or PNG.")
        if stem not in image_of:
            raise DataError(f"{mask_of[stem]} has no image; add {source / 'images' / stem}.jpg or remove the mask.")
        if stem.split() != [stem] or not stem.isprintable() or stem.startswith("#") or "\\" in stem:
            raise DataError(
                f"{str(image_of[stem])!r} cannot stand in a list: rename it and its mask, without spaces, backslashes, "
                "control characters or a # in front."
            )
    return {stem: (image_of[stem], mask_of[stem]) for stem in sorted(image_of)}


def _by_stem(folder: Path) -> dict[str, Path]:
    """The image files of one folder; hidden files and other suffixes are passed over."""
    if not folder.is_dir():
        hint = "" if not _is_copy() else " (a queued experiment runs in a copy that holds only what git tracks)"
        raise DataError(f"{folder} does not exist{hint}; data.path needs both images/ and masks/, give it absolutely.")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in SUFFIXES:
            continue
        if path.stem in files:
            raise DataError(f"{files[path.stem]} and {path} have the same name before the dot; rename or remove one.")
        files[path.stem] = path
    if not files:
        raise DataError(f"{folder} holds no image ({', '.join(SUFFIXES)}); put some there.")
    return files


def _is_copy() -> bool:
    """Whether this is DVC's temporary copy of the project, of which DVC_ROOT names the original."""
    root = os.environ.get("DVC_ROOT")
    return root is not None and Path(root).resolve() != Path.cwd().resolve()


def _lists(source: Path, names: Iterable[str]) -> dict[str, list[str]]:
    """The lines of both lists: as given; where one is missing, all the others; where both are, by TEST_EVERY."""
    names = list(names)
    given = {name: _read_list(source / name, names) for name in layout.LISTS if (source / name).exists()}
    if not given:
        given["test.txt"] = [f"{name} {UNKNOWN}" for name in names[::TEST_EVERY]]
    listed = [line.split()[0] for lines in given.values() for line in lines]
    known = set(listed)
    if len(known) < len(listed):
        twice = next(name for name in listed if listed.count(name) > 1)
        raise DataError(f"{twice} is in both {source / 'trainval.txt'} and {source / 'test.txt'}; remove it from one.")
    rest = [f"{name} {UNKNOWN}" for name in names if name not in known]
    lists = {name: given.get(name, rest) for name in layout.LISTS}
    for name, lines in lists.items():
        if not lines:
            raise DataError(f"no image of {source} is left for {name}: trainval and test each need at least one.")
    return lists


def _read_list(path: Path, names: Sequence[str]) -> list[str]:
    """The lines of a list: NAME with `UNKNOWN`, or NAME CLASS SPECIES BREED_ID as they are. NAME may have a suffix."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path} cannot be read as text ({error}); save it as UTF-8.") from None
    known, found = set(names), {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, *numbers = line.split()
        if name not in known and PurePath(name).suffix.lower() in SUFFIXES:
            name = PurePath(name).stem
        if name not in known:
            raise DataError(f"{path}, line {number}: there is no image {name}; add it and its mask, or remove it here.")
        if numbers and not _LINE_NUMBERS.fullmatch(" ".join(numbers)):
            raise DataError(
                f"{path}, line {number} is {line.strip()!r}; write the name alone, or NAME CLASS SPECIES BREED_ID with "
                "species 1 (cat), 2 (dog) or 0 (unknown)."
            )
        if name in found:
            raise DataError(f"{path}, line {number}: {name} is there a second time; remove one of the two lines.")
        found[name] = f"{name} {' '.join(numbers) or UNKNOWN}"
    if not found:
        raise DataError(f"{path} names no image; write one name a line, or delete the file.")
    return list(found.values())


def _bring(pair: tuple[Path, Path], folder: Path, kind: str) -> None:
    """Writes one image and its trimap, and reads them back as every later stage does."""
    image, mask = pair
    trimap = layout.trimap_path(folder, mask.stem)
    Image.fromarray(masks.trimap(masks.read(mask), kind)).save(trimap)
    try:
        images.read_pair(image, trimap)
    except DataError as error:
        raise DataError(str(error).replace(str(trimap), str(mask))) from None  # the user knows only the mask
    shutil.copyfile(image, layout.image_path(folder, image.stem))


def _map(task: Callable, items: Sequence, workers: int, description: str) -> list:
    """`task` of each item, in order, by that many processes, with a bar on a terminal; the first error ends it."""
    with (
        tqdm(total=len(items), desc=description, unit=" images", disable=None) as bar,
        pool.in_order(task, items, workers, CHUNK) as results,
    ):
        found = []
        for result in results:
            found.append(result)
            bar.update()
        return found
