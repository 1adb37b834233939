"""The source `folder`: the user's own photographs and masks, converted to the official layout. See own/README.md."""

import functools
import os
import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path, PurePath

from PIL import Image
from tqdm import tqdm

from petseg.data import images, layout
from petseg.data.sources import masks
from petseg.runtime import pool
from petseg.runtime.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff")  # in upper or lower case
CHUNK = 16  # images that a worker takes at once
TEST_EVERY = 5  # without lists, image i of the sorted names is a test image if i % TEST_EVERY == 0
UNKNOWN_CLASS = "0 0 0"  # class, species and breed number of an image whose list has only its name


def fetch(source: Path, raw: Path, workers: int) -> None:
    """Fills the folder `raw` with the official layout of the images in `source`.

    Images are copied unchanged, whatever their format; masks are converted to trimaps in PNG. Each image is decoded
    and compared with its mask, so that errors are reported now and name the user's own file.

    Args:
        source: holds images/ and masks/, with one file of the same stem in each, and optionally trainval.txt and
            test.txt.
        raw: an empty folder.
        workers: processes that decode; with 1, this process does the work.

    Raises:
        DataError: `source` or one of its folders is missing or empty; an image has no mask or a mask no image; two
            files have the same stem, or a stem cannot be written to a list; a list names an unknown image, names one
            twice, or is empty; an image or mask cannot be decoded; masks have unknown values or different encodings;
            sizes differ.
    """
    pairs = _find_pairs(source)
    (raw / "images").mkdir()
    (raw / "annotations" / "trimaps").mkdir(parents=True)
    used = [pairs[name] for name in _write_lists(source, list(pairs), raw)]
    mask_files = [mask for _, mask in used]
    found = _map(masks.values, mask_files, workers, "reading masks")
    encoding = masks.encoding(zip(mask_files, found, strict=True))
    _map(functools.partial(_import_pair, raw=raw, encoding=encoding), used, workers, "copying images")


def _find_pairs(source: Path) -> dict[str, tuple[Path, Path]]:
    """The image and the mask of each stem, sorted by stem."""
    if not source.is_dir():
        raise DataError(f"data.path is {source}, which is not a folder; it must be one with images/ and masks/ in it.")
    image_of, mask_of = _by_stem(source / "images"), _by_stem(source / "masks")
    for stem in sorted(image_of.keys() | mask_of.keys()):
        if stem not in mask_of:
            more = len(image_of.keys() - mask_of.keys()) - 1
            others = f" (nor have {more} others)" if more else ""
            raise DataError(f"{image_of[stem]} has no mask{others}; add {source / 'masks' / stem}.png or remove it.")
        if stem not in image_of and (other := next((source / "images").glob(f"{stem}.*"), None)):
            raise DataError(f"{other} has an unsupported format; convert it to JPEG or PNG.")
        if stem not in image_of:
            raise DataError(f"{mask_of[stem]} has no image; add {source / 'images' / stem}.jpg or remove the mask.")
        if stem.split() != [stem] or not stem.isprintable() or stem.startswith("#") or "\\" in stem:
            raise DataError(
                f"{str(image_of[stem])!r} cannot be written to a list; rename it and its mask, without spaces, "
                "backslashes, control characters or a leading #."
            )
    return {stem: (image_of[stem], mask_of[stem]) for stem in sorted(image_of)}


def _by_stem(folder: Path) -> dict[str, Path]:
    """The image files of a folder by stem. Hidden files and other suffixes are ignored."""
    if not folder.is_dir():
        copied = "; a queued experiment runs in a copy that holds only what git tracks, so data.path must be absolute"
        raise DataError(
            f"{folder} does not exist; data.path must contain images/ and masks/{copied if _is_copy() else ''}."
        )
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in SUFFIXES:
            continue
        if path.stem in files:
            raise DataError(f"{files[path.stem]} and {path} have the same name before the dot; rename or remove one.")
        files[path.stem] = path
    if not files:
        raise DataError(f"{folder} holds no image ({', '.join(SUFFIXES)}); add some.")
    return files


def _is_copy() -> bool:
    """Whether this process runs in DVC's temporary copy of the project; DVC_ROOT names the original."""
    root = os.environ.get("DVC_ROOT")
    return root is not None and Path(root).resolve() != Path.cwd().resolve()


def _write_lists(source: Path, names: list[str], raw: Path) -> list[str]:
    """Writes trainval.txt, test.txt and list.txt; returns the names in list.txt.

    A list in `source` is kept. If one is missing, it has all other images; if both are, TEST_EVERY divides them.
    """
    given = {name: _read_list(source / name, names) for name in layout.LISTS if (source / name).exists()}
    if not given:
        given["test.txt"] = [f"{name} {UNKNOWN_CLASS}" for name in names[::TEST_EVERY]]
    listed = {line.split()[0] for lines in given.values() for line in lines if line}
    rest = [f"{name} {UNKNOWN_CLASS}" for name in names if name not in listed]
    if not rest and len(given) < len(layout.LISTS):
        raise DataError(f"No image of {source} is left for the missing list; trainval and test need at least one each.")
    lists = {name: given.get(name, rest) for name in layout.LISTS}
    lists["list.txt"] = [line for lines in lists.values() for line in lines if line]
    for name, lines in lists.items():
        (raw / "annotations" / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    try:
        layout.read_lists(raw)
    except DataError as error:
        raise DataError(str(error).replace(str(raw / "annotations"), str(source))) from None
    return [line.split()[0] for line in lists["list.txt"]]


def _read_list(path: Path, names: Collection[str]) -> list[str]:
    """The lines of the user's list in the official format; blank lines and comments become empty lines.

    The user's lines may have only a name, which may have a suffix.
    """
    lines: list[str] = []
    for number, line in layout.list_lines(path):
        name, *numbers = line.split()
        if name not in names and PurePath(name).suffix.lower() in SUFFIXES:
            name = PurePath(name).stem
        if name not in names:
            raise DataError(
                f"{path}, line {number}: no image is called {name}; add it and its mask, or remove the line."
            )
        lines += [""] * (number - 1 - len(lines))  # so that errors found later have the user's line numbers
        lines.append(f"{name} {' '.join(numbers) or UNKNOWN_CLASS}")
    return lines


def _import_pair(pair: tuple[Path, Path], raw: Path, encoding: str) -> None:
    """Writes one image and its trimap, and reads them back as later stages do."""
    image, mask = pair
    trimap = layout.trimap_path(raw, mask.stem)
    Image.fromarray(masks.trimap(masks.read(mask), encoding)).save(trimap)
    try:
        images.read_pair(image, trimap)
    except DataError as error:
        raise DataError(str(error).replace(str(trimap), str(mask))) from None  # the user knows only the mask
    shutil.copyfile(image, layout.image_path(raw, image.stem))


def _map(task: Callable, items: Sequence, workers: int, description: str) -> list:
    """The results of `task` for all items in order, computed by parallel workers; shows a progress bar."""
    with pool.in_order(task, items, workers, CHUNK) as results:
        return list(tqdm(results, description, len(items), unit=" images", disable=None))
