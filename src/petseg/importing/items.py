"""Single images with their masks: pages of stacks are separate, sizes agree."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from petseg.data.images import BACKGROUND, BORDER, PET
from petseg.importing import decoding, reading, shapes, values
from petseg.importing.candidates import Candidate
from petseg.importing.decoding import Look, Range
from petseg.importing.reading import Seen
from petseg.importing.values import Meaning
from petseg.runtime import pool
from petseg.runtime.errors import DataError

CHUNK = 8  # images that a worker takes at once


@dataclass(frozen=True)
class Item:
    """One page of an image."""

    source: Candidate
    look: Look
    page: int = 0

    @property
    def kind(self) -> str:
        """Where the mask comes from: files, annotations or alpha."""
        if self.source.masks:
            return "files"
        return "annotations" if self.source.annotated else "alpha"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the mask."""
        return self.source.size or (self.look.upright if self.source.annotated else self.look.size)


class Measured(NamedTuple):
    """What the pixels of an item say."""

    seen: list[Seen]  # of each mask
    range: Range | None  # of an image with 16 bits per channel
    flat: bool = False  # a cut-out that has one color wherever it is transparent


def expand(candidates: Sequence[Candidate], workers: int) -> list[Item]:
    """One item per page of each image.

    Raises:
        DataError: a file cannot be decoded; a mask has another size or another number of pages than its image.
    """
    paths = [path for each in candidates for path in (each.place.path, *each.masks)]
    looks = dict(zip(paths, pool.map_images(decoding.look, paths, workers, CHUNK, "reading files"), strict=True))
    for each in candidates:
        look = looks[each.place.path]
        _check_size(each, look, {path: looks[path] for path in each.masks})
        if each.annotated and look.pages > 1:
            raise DataError(
                f"{each.place.path} has {look.pages} pages, and its annotation is about one; save the pages as files."
            )
    return [
        Item(each, looks[each.place.path], page) for each in candidates for page in range(looks[each.place.path].pages)
    ]


def _check_size(each: Candidate, image: Look, masks: dict) -> None:
    path, sizes = each.place.path, {image.size, image.upright}
    if each.size is not None and each.size not in sizes:
        raise DataError(
            f"{path} is {image.size[0]} x {image.size[1]} pixels, but its annotation says {each.size[0]} x "
            f"{each.size[1]}; use the image that was annotated."
        )
    for mask, look in masks.items():
        if look.size not in sizes:
            raise DataError(
                f"{path} is {image.size[0]} x {image.size[1]} pixels, but {mask} is {look.size[0]} x {look.size[1]}; "
                "replace one of them so that their sizes match."
            )
        if look.pages != image.pages:
            raise DataError(
                f"{path} has {image.pages} pages, but its mask {mask} has {look.pages}; save the pages that belong "
                "together as files."
            )


def measure(items: Sequence[Item], labels: Sequence[str], wanted: str, workers: int) -> list[Measured]:
    """Reads all masks, and images with 16 bits per channel."""
    task = functools.partial(_measure, labels=tuple(labels), wanted=wanted)
    return pool.map_images(task, items, workers, CHUNK, "reading masks")


def _measure(item: Item, labels: tuple[str, ...], wanted: str) -> Measured:
    path = item.source.place.path
    found = decoding.value_range(path, item.page) if item.look.wide else None
    match item.kind:
        case "files":
            seen = [reading.look(mask, item.page, wanted) for mask in item.source.masks]
        case "alpha":
            return Measured([reading.look(path, item.page, "alpha")], found, _is_flat(item))
        case _:
            seen = [_count_labels(item, labels)]
    return Measured(seen, found)


def _is_flat(item: Item) -> bool:
    layer = np.asarray(decoding.read(item.source.place.path, item.page).convert("RGBA"))
    hidden = layer[layer[..., 3] == 0]
    return len(hidden) > 0 and bool((hidden == hidden[0]).all())


def _count_labels(item: Item, labels: tuple[str, ...]) -> Seen:
    """The pixels of each label; 0 is what has none. Objects may overlap."""
    counts, anything = {}, np.zeros((item.size[1], item.size[0]), bool)
    for value, label in enumerate(labels, 1):
        of_label = [shape for shape in item.source.shapes if shape.label == label]
        if of_label:
            mask = shapes.draw(of_label, item.size)
            counts[value] = int(mask.sum())
            anything |= mask
    return Seen("numbers", {0: int((~anything).sum()), **counts})


def trimap(item: Item, meaning: Meaning, labels: Sequence[str], wanted: str) -> np.ndarray:
    """The trimap of an item, uint8 (H, W): 1 pet, 2 background, 3 border. Several masks are united."""
    match item.kind:
        case "files":
            parts = [values.trimap(reading.read(path, item.page, wanted).values, meaning) for path in item.source.masks]
        case "alpha":
            parts = [values.trimap(reading.read(item.source.place.path, item.page, "alpha").values, meaning)]
        case _:
            chosen = {label for value, label in enumerate(labels, 1) if value in meaning.pet}
            mask = shapes.draw([shape for shape in item.source.shapes if shape.label in chosen], item.size)
            parts = [np.where(mask, PET, BACKGROUND).astype(np.uint8)]
    united = np.full(parts[0].shape, BACKGROUND, np.uint8)
    for value in (BORDER, PET):
        for part in parts:
            united[part == value] = value
    return united
