"""What import understood of a data set, before anything is written."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from petseg.importing import candidates, items, names, reading, scan, values
from petseg.importing import lists as list_files
from petseg.importing.candidates import Found
from petseg.importing.decoding import Range
from petseg.importing.items import Item, Measured
from petseg.importing.lists import Lists
from petseg.importing.pairs import tidy
from petseg.importing.scan import count
from petseg.importing.values import Meaning, Table
from petseg.runtime.errors import DataError

_LEAST = 5  # images of which a swap of images and masks is recognized


@dataclass(frozen=True)
class Options:
    """The options of `petseg import`."""

    pet: str | None = None
    colors: tuple[str, ...] = ()
    threshold: int | None = None
    masks: str | None = None


@dataclass
class Plan:
    """What will be written, and what the user is told about it."""

    source: Path
    found: Found
    items: list[Item]
    names: list[str]  # of the items
    table: Table
    meaning: Meaning | None  # None if the user must choose
    wanted: str  # how masks are read: numbers or color
    stretch: Range | None  # of all images with 16 bits per channel
    lists: Lists
    numbers: dict[int, str] = field(default_factory=dict)  # class, species and breed of items, from the user's lists
    guesses: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        """What was understood, for the user."""
        lines = [
            f"{self.source}: {count(len(self.items), 'image')} with a mask",
            *self.found.said,
            *(f"left out: {text}" for text in self.found.left_out),
            "values of the masks:" if not self.table.labels else "labels of the annotations (they can overlap):",
            self.table.text(self.meaning),
            *(f"guess: {text}" for text in self.guesses),
            *(f"note: {text}" for text in self.notes),
            f"lists: {self.lists.text}",
        ]
        return "\n".join(lines)

    def check(self) -> Meaning:
        """The meaning of the values.

        Raises:
            DataError: the user must choose it, or there is nothing to learn from the masks.
        """
        if self.meaning is None:
            raise self.question()
        becomes = {self.meaning.of(value) for value in self.table.pixels}
        if len(becomes) == 1:
            raise DataError(
                f"All pixels of all masks are {becomes.pop()}, so there is nothing to learn; check "
                "them, or choose the pets with --pet."
            )
        return self.meaning

    def question(self) -> DataError:
        """An error that names the option to use, if `meaning` is None."""
        if self.table.labels:
            return DataError("Several labels are annotated; choose what is pet with --pet LABEL,LABEL or --pet all.")
        shown = [self.table.name(value) for value in sorted(self.table.pixels) if value][:2]
        if not shown or len(self.table.pixels) == 1:
            only = self.table.name(next(iter(self.table.pixels)))
            return DataError(f"All pixels of all masks are {only}, so there is no pet to learn; check the masks.")
        if self.table.color:
            return DataError(
                f"The masks are colored; choose the colors of pets, such as --pet-color '{shown[0]}', or --pet all for "
                "all but black."
            )
        # Class numbers must not be cut at a gray level: that could keep the ignored pixels alone, which are 255.
        gray = ", or cut gray levels with --threshold 128" if self.table.may_be_gray() else ""
        return DataError(
            f"The masks hold class numbers; choose the ones that are pets, such as --pet {','.join(shown)}, or "
            f"--pet all for all but 0 and 255{gray}."
        )


def make(source: Path, options: Options, workers: int) -> Plan:
    """Reads a data set and decides what its files mean.

    Raises:
        DataError: there is nothing to import, a file is damaged, or an option does not fit. If only the meaning of the
            values is open, `meaning` of the plan is None instead.
    """
    files = scan.scan(source)
    found = candidates.find(files, options.masks)
    stems = Counter(tidy(each.place.path.stem) for each in found.candidates)
    listed = list_files.read(files.texts, {stem for stem, times in stems.items() if times == 1})
    all_items = items.expand(found.candidates, workers)
    labels = sorted({shape.label for each in found.candidates for shape in each.shapes})
    if found.kind == "annotations" and not labels:
        raise DataError(f"The annotations of {source} hold no object with an area; export them with polygons.")
    wanted = "color" if options.colors else "numbers"
    measured = items.measure(all_items, labels, wanted, workers)
    if wanted == "numbers" and values.need_color([seen for each in measured for seen in each.seen]):
        wanted = "color"
        measured = items.measure(all_items, labels, wanted, workers)
    table = values.collect([seen for each in measured for seen in each.seen], wanted == "color", labels)
    meaning = values.decide(table, options.pet, options.colors, options.threshold)
    if meaning is None and found.kind == "files":
        _refuse_swapped(all_items, measured)
    lists, numbers = _lists(all_items, listed, source)
    ranges = [each.range for each in measured if each.range]
    plan = Plan(
        source=source,
        found=found,
        items=all_items,
        names=names.assign([_old(item) for item in all_items]),
        table=table,
        meaning=meaning,
        wanted=wanted,
        stretch=Range(min(each.low for each in ranges), max(each.high for each in ranges)) if ranges else None,
        lists=lists,
        numbers=numbers,
    )
    plan.guesses, plan.notes = _guesses(plan, measured), _notes(plan, measured)
    return plan


def _old(item: Item) -> names.Old:
    return names.Old(item.source.name, item.source.place.group, item.page if item.look.pages > 1 else None)


def _lists(all_items: Sequence[Item], listed: tuple[Path, list] | None, source: Path) -> tuple[Lists, dict[int, str]]:
    """The lists, from the user's own lists or else from folders, and the numbers in the user's lists."""
    if listed is None:
        lists = list_files.assemble({i: item.source.place.split for i, item in enumerate(all_items)})
        return lists._replace(text=f"{lists.text} (from folders)" if lists.test else lists.text), {}
    where, lines = listed
    of_name: dict[str, list[int]] = {}
    for i, item in enumerate(all_items):
        of_name.setdefault(tidy(item.source.place.path.stem), []).append(i)
    split_of = {i: line.split for line in lines for i in of_name[line.name]}
    numbers = {i: line.numbers for line in lines for i in of_name[line.name]}
    split_of |= {i: "" for i in range(len(all_items)) if i not in split_of}
    lists = list_files.assemble(split_of)
    return lists._replace(text=f"{lists.text} (from the lists in {where.relative_to(source)}/)"), numbers


def _refuse_swapped(all_items: Sequence[Item], measured: Sequence[Measured]) -> None:
    """Raises DataError if masks look like photographs and images like masks."""
    few = [
        len(reading.look(item.source.place.path, item.page).counts) <= 4 for item in all_items[:_LEAST] if not item.page
    ]
    if all(few) and all(len(each.seen[0].counts) > 64 for each in measured[:_LEAST]):
        item = all_items[0]
        raise DataError(
            f"{item.source.place.path} looks like a mask and {item.source.masks[0]} like a photograph, as do the "
            "others; swap the two folders."
        )


def _guesses(plan: Plan, measured: Sequence[Measured]) -> list[str]:
    guesses = list(plan.found.guesses)
    if plan.found.kind == "files" and any(seen.kind == "alpha" for each in measured for seen in each.seen):
        guesses.append("transparent pixels of the masks are background; --pet-color takes their colors instead")
    if plan.meaning is not None and plan.meaning.guess:
        guesses.append(plan.meaning.guess)
    return guesses


def _notes(plan: Plan, measured: Sequence[Measured]) -> list[str]:
    notes = []
    stacks = {item.source.place.path: item.look.pages for item in plan.items if item.look.pages > 1}
    for path, pages in list(stacks.items())[:3]:
        notes.append(f"{path.relative_to(plan.source)} has {pages} pages: each becomes an image")
    if stacks and not plan.lists.test:
        notes.append("pages of a stack are alike: write trainval.txt and test.txt that keep them together")
    if plan.stretch is not None:
        wide = sum(item.look.wide for item in plan.items)
        low, high = plan.stretch
        notes.append(f"{count(wide, 'image')} of 16 bits: {low} to {high}, the range of all, becomes 0 to 255")
    flat = sum(each.flat for each in measured)
    if flat:
        notes.append(
            f"{flat} of {count(len(plan.items), 'cut-out')} have nothing but one color outside the pet; a network "
            "learns from them to find that color, not pets"
        )
    if plan.meaning is not None:
        empty = sum(not _has_pet(each, plan.meaning) for each in measured)
        if empty:
            notes.append(f"{empty} of {count(len(plan.items), 'mask')} have no pet")
        pet = sum(plan.table.share(value) for value in plan.table.pixels if plan.meaning.of(value) == "pet")
        if pet > 0.7 and not plan.table.labels:
            notes.append(f"pets cover {pet:.0%} of all pixels; if black is the pet, use --pet 0")
    renamed = [
        f"{name} for {item.source.place.path.relative_to(plan.source)}"
        for name, item in zip(plan.names, plan.items, strict=True)
        if name != unicodedata.normalize("NFC", item.source.place.path.stem)
    ]
    if renamed:
        notes.append(f"{count(len(renamed), 'image')} with another name, such as {renamed[0]}; see sources.csv")
    return notes


def _has_pet(measured: Measured, meaning: Meaning) -> bool:
    return any(meaning.of(value) == "pet" and pixels for seen in measured.seen for value, pixels in seen.counts.items())
