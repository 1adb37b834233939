"""Writes the new data set: images/, masks/, the lists, and sources.csv, which says where each image came from."""

import csv
import functools
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from petseg.data import images
from petseg.data.images import PET
from petseg.data.sources.folder import UNKNOWN_CLASS
from petseg.importing import decoding, items
from petseg.importing.decoding import Range
from petseg.importing.items import Item
from petseg.importing.plan import Plan
from petseg.importing.values import Meaning
from petseg.runtime import pool
from petseg.runtime.errors import DataError
from petseg.runtime.files import atomic_folder


class _How(NamedTuple):
    """What is the same for all images."""

    meaning: Meaning
    labels: tuple[str, ...]
    wanted: str
    stretch: Range | None


def check_free(source: Path, out: Path) -> None:
    """Raises DataError if `out` may not be written to: it holds something, or lies in `source`."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} exists already, and nothing is overwritten; choose another --out, or remove it.")
    if out.resolve().is_relative_to(source.resolve()):
        raise DataError(f"{out} lies in {source}, which must stay as it is; choose an --out outside of it.")


def write(plan: Plan, out: Path, workers: int) -> None:
    """Fills the new folder `out`; after an error it does not exist.

    Raises:
        DataError: an image cannot be decoded.
    """
    how = _How(plan.check(), plan.table.labels, plan.wanted, plan.stretch)
    with atomic_folder(out) as part:
        (part / "images").mkdir()
        (part / "masks").mkdir()
        named = list(zip(plan.names, plan.items, strict=True))
        pool.map_images(functools.partial(_write_item, part=part, how=how), named, workers, items.CHUNK, "writing")
        for name, numbers in (("trainval.txt", plan.lists.trainval), ("test.txt", plan.lists.test)):
            if numbers:
                lines = [f"{plan.names[i]} {plan.numbers.get(i, UNKNOWN_CLASS)}\n" for i in numbers]
                (part / name).write_text("".join(lines), encoding="utf-8")
        _write_sources(plan, part / "sources.csv")


def _write_item(named: tuple[str, Item], part: Path, how: _How) -> None:
    name, item = named
    trimap = items.trimap(item, how.meaning, how.labels, how.wanted)
    mask = trimap if how.meaning.has_border else np.where(trimap == PET, 255, 0).astype(np.uint8)
    Image.fromarray(mask).save(part / "masks" / f"{name}.png")
    path, is_cutout = item.source.place.path, item.kind == "alpha"
    if decoding.as_is(path, item.look) and not is_cutout:
        images.decode(path)  # a damaged image is reported now, and by its own name
        shutil.copyfile(path, part / "images" / f"{name}{path.suffix.lower()}")
        return
    image = decoding.convert(path, item.page, item.look, how.stretch, drop_alpha=is_cutout)
    if image.size != mask.shape[::-1]:  # the mask was made for the image as it is shown
        image = images.upright(image, images.orientation(images.open_image(path)))
    if image.size != mask.shape[::-1]:
        raise DataError(
            f"Page {item.page + 1} of {path} has another size than its mask; save the pages that belong together as "
            "files of one size."
        )
    image.save(part / "images" / f"{name}.png")


def _write_sources(plan: Plan, path: Path) -> None:
    """One line per image: its name, its file, its masks and its page, from 1."""
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("name", "image", "masks", "page"))
        for name, item in zip(plan.names, plan.items, strict=True):
            masks = " ".join(str(mask.relative_to(plan.source)) for mask in item.source.masks)
            page = item.page + 1 if item.look.pages > 1 else ""
            writer.writerow((name, item.source.place.path.relative_to(plan.source), masks, page))
