"""The source `folder`: the user's own photographs and masks, converted to the official layout. See own/README.md."""

import functools
import os
import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePath

from PIL import Image

from petseg.data import images, layout
from petseg.data.sources import masks, nearby
from petseg.runtime import pool
from petseg.runtime.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff")  # in upper or lower case
CHUNK = 16  # images that a worker takes at once
TEST_EVERY = 5  # without lists, image i of the sorted names is a test image if i % TEST_EVERY == 0
DARK = 2**14  # a set of 16-bit images without a greater value is of a camera of 14 or fewer bits, and nearly black
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
            twice, or is empty; an image or mask cannot be decoded or has several pages; 16-bit images use only a part
            of their range; masks have unknown values or different encodings; sizes differ.
    """
    pairs = _find_pairs(source)
    (raw / "images").mkdir()
    (raw / "annotations" / "trimaps").mkdir(parents=True)
    used = [pairs[name] for name in _write_lists(source, list(pairs), raw)]
    mask_files = [mask for _, mask in used]
    _check_kinds(source, used, workers)
    found = pool.map_images(masks.values, mask_files, workers, CHUNK, "reading masks")
    encoding = masks.encoding(zip(mask_files, found, strict=True))
    task = functools.partial(_import_pair, raw=raw, encoding=encoding)
    pool.map_images(task, used, workers, CHUNK, "copying images")


def _find_pairs(source: Path) -> dict[str, tuple[Path, Path]]:
    """The image and the mask of each stem, sorted by stem."""
    if not source.is_dir():
        raise DataError(f"data.path is {source}, which is not a folder; it must be one with images/ and masks/ in it.")
    image_of, mask_of = _by_stem(source / "images"), _by_stem(source / "masks")
    for stem in sorted(image_of.keys() | mask_of.keys()):
        if stem not in mask_of:
            raise _no_mask(source, stem, image_of, mask_of)
        if stem not in image_of and (other := next((source / "images").glob(f"{stem}.*"), None)):
            raise DataError(f"{other} has an unsupported format; {nearby.conversion(other, source)}")
        if stem not in image_of:
            raise DataError(f"{mask_of[stem]} has no image; add {source / 'images' / stem}.jpg or remove the mask.")
        if stem.split() != [stem] or not stem.isprintable() or stem.startswith("#") or "\\" in stem:
            raise DataError(
                f"{str(image_of[stem])!r} cannot be written to a list; rename it and its mask, without spaces, "
                "backslashes, control characters or a leading #."
            )
    return {stem: (image_of[stem], mask_of[stem]) for stem in sorted(image_of)}


def _no_mask(source: Path, stem: str, image_of: dict[str, Path], mask_of: dict[str, Path]) -> DataError:
    """An error about an image without a mask, which names the mask of a similar name."""
    without = sorted(image_of.keys() - mask_of.keys())
    free = mask_of.keys() - image_of.keys()
    near = nearby.similar(stem, free)
    if near is None:
        others = f" (nor have {len(without) - 1} others)" if len(without) > 1 else ""
        return DataError(f"{image_of[stem]} has no mask{others}; add {source / 'masks' / stem}.png or remove it.")
    alike = sum(near.replace(stem, each, 1) in free for each in without) - 1
    others = f" (as for {alike} other{'s' * (alike > 1)})" if alike > 0 else ""
    return DataError(f"{image_of[stem]} has no mask, but {mask_of[near]} lies there{others}; {nearby.cure(source)}")


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
        raise _no_image(folder)
    if unread := _unread(folder.iterdir()):
        more = f" (and {len(unread) - 1} more)" if len(unread) > 1 else ""
        cure = nearby.conversion(unread[0], folder.parent)
        print(f"warning: {unread[0]}{more} is left out, because its format is not read; {cure}")
    return files


def _unread(paths: Iterable[Path]) -> list[Path]:
    """The images of formats that are not read."""
    suffixes = nearby.CONVERTED + nearby.UNREAD
    return sorted(path for path in paths if path.suffix.lower() in suffixes and not path.name.startswith("."))


def _no_image(folder: Path) -> DataError:
    """An error about a folder without images, which names images in its subfolders or of other formats."""
    below = [path for path in sorted(folder.rglob("[!.]*")) if path.is_file()]
    images_below, unread = [path for path in below if path.suffix.lower() in SUFFIXES], _unread(below)
    found = images_below or unread
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    if images_below:
        where = f"must be in {folder} itself, not in a subfolder"
        return DataError(f"{found[0]}{more} {where}; {nearby.cure(folder.parent)}")
    if unread:
        cure = nearby.conversion(unread[0], folder.parent)
        return DataError(f"{found[0]}{more} has a format that is not read; {cure}")
    return DataError(f"{folder} holds no image ({', '.join(SUFFIXES)}); add some.")


def _check_kinds(source: Path, pairs: Sequence[tuple[Path, Path]], workers: int) -> None:
    """Raises DataError for several pages, of which only the first would be used, and for nearly black images."""
    paths = [path for pair in pairs for path in pair]
    found = pool.map_images(_kind, paths, workers, CHUNK, "reading files")
    for path, (pages, _) in zip(paths, found, strict=True):
        if pages > 1:
            raise DataError(f"{path} has {pages} pages, and only the first would be used; {nearby.cure(source)}")
    wide = [(path, high) for path, (_, high) in zip(paths[::2], found[::2], strict=True) if high]  # without masks
    if wide and max(high for _, high in wide) < DARK:
        others = f" (as in {len(wide) - 1} more)" if len(wide) > 1 else ""
        raise DataError(
            f"{wide[0][0]} has 16 bits per channel, of which the upper ones are empty{others}, and would be nearly "
            f"black; {nearby.cure(source)}"
        )


def _kind(path: Path) -> tuple[int, int]:
    """The number of pages of an image and, of 16 bits per channel, the greatest value (of color, its high byte)."""
    image = images.open_image(path)
    pages, wide = images.frames(image), images.is_wide(image)
    if not wide or pages > 1:
        return pages, 0
    return pages, images.highest(images.decode(path))


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
