"""What the values of masks mean, and masks as trimaps."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from PIL import ImageColor

from petseg.data.images import BACKGROUND, BORDER, PET
from petseg.importing.reading import Seen
from petseg.runtime.errors import DataError

BAND = 5  # ignored pixels at most this far from a pet are border: about the width of the band in Pascal VOC
VOID = 0xE0E0C0  # the color of ignored pixels in Pascal VOC
IGNORED = 255  # the class number of ignored pixels in Pascal VOC, Cityscapes and others
_PLENTY = 50_000  # values of all masks that are counted
_SOFT = 8  # different gray levels between dark and bright that only a soft edge has


@dataclass(frozen=True)
class Meaning:
    """What the values of a set of masks mean; all others are background."""

    pet: frozenset[int] = frozenset()
    border: frozenset[int] = frozenset()
    ignored: frozenset[int] = frozenset()
    threshold: float | None = None  # values from here on are pet
    guess: str = ""  # what a user should know about a meaning that was not certain

    @property
    def has_border(self) -> bool:
        """Whether masks become trimaps, instead of 0 and 255."""
        return bool(self.border or self.ignored)

    def guessed(self, guess: str) -> "Meaning":
        """The same meaning as a guess."""
        return replace(self, guess=guess)

    def of(self, value: int) -> str:
        """A value's meaning in a word."""
        if self.threshold is not None:
            return "pet" if value >= self.threshold else "background"
        if value in self.ignored:
            return f"ignored: border up to {BAND} pixels from a pet, else background"
        return "pet" if value in self.pet else "border" if value in self.border else "background"


@dataclass
class Table:
    """The values of a set of masks."""

    color: bool  # values are colors, not numbers
    pixels: Counter[int] = field(default_factory=Counter)
    masks: Counter[int] = field(default_factory=Counter)  # masks that hold a value
    lossy: bool = False
    is_mixed: bool = False  # 1 and 255 occur, but in no mask together
    labels: tuple[str, ...] = ()  # of annotated objects: value i is label i - 1, and 0 is nothing

    def name(self, value: int) -> str:
        """A value as text, such as 15, #800000 or cat."""
        if self.labels:
            return self.labels[value - 1] if value else "nothing"
        return f"#{value:06x}" if self.color else str(value)

    def share(self, value: int) -> float:
        """The share of pixels with a value."""
        return self.pixels[value] / self.pixels.total()

    def may_be_gray(self) -> bool:
        """Whether most of what is not 0 is white, or there are more values than classes: edges may be soft."""
        white = self.pixels[_top(self)]
        return len(self.pixels) > 200 or 2 * white >= self.pixels.total() - self.pixels[0]

    def text(self, meaning: Meaning | None, most: int = 24) -> str:
        """A table of the values; of many, only the ones that cover most."""
        shown = sorted(value for value, _ in self.pixels.most_common(most))
        if meaning is not None and meaning.threshold is not None:
            return self._levels(meaning.threshold)
        becomes = (lambda value: "?") if meaning is None else meaning.of
        lines = [f"  {'value':>8}  {'pixels':>8}  {'masks':>6}  becomes"]
        for value in shown:
            lines.append(f"  {self.name(value):>8}  {self.share(value):8.2%}  {self.masks[value]:6,}  {becomes(value)}")
        left = len(self.pixels) - len(shown)
        return "\n".join([*lines, *([f"  ... and {left:,} more values"] if left else [])])

    def _levels(self, threshold: float) -> str:
        """A table of gray levels below and above a threshold."""
        cut = math.ceil(threshold)
        lines = [f"  {'value':>12}  {'pixels':>8}  becomes"]
        for low, high, becomes in ((0, cut - 1, "background"), (cut, _top(self), "pet")):
            inside = sum(self.share(value) for value in self.pixels if low <= value <= high)
            lines.append(f"  {f'{low} to {high}':>12}  {inside:8.2%}  {becomes}")
        return "\n".join(lines)


def need_color(seen: Sequence[Seen]) -> bool:
    """Whether the masks must be read as colors: one is colored, or an index has different colors in two of them."""
    known: dict[int, int] = {}
    same = all(known.setdefault(index, color) == color for each in seen for index, color in each.colors.items())
    return not same or any(each.kind == "color" for each in seen)


def collect(seen: Sequence[Seen], color: bool, labels: Sequence[str] = ()) -> Table:
    """Adds up the values of all masks; with `color`, these are colors."""
    table = Table(color, lossy=any(each.lossy for each in seen), labels=tuple(labels))
    for each in seen:
        if len(table.pixels) > _PLENTY:
            break  # photographs instead of masks
        table.pixels.update(each.counts)
        table.masks.update(each.counts.keys())
    table.is_mixed = not any({1, IGNORED} <= each.counts.keys() for each in seen)
    return table


def trimap(values: np.ndarray, meaning: Meaning) -> np.ndarray:
    """Converts values to a trimap, uint8 (H, W): 1 pet, 2 background, 3 border."""
    if meaning.threshold is not None:
        return np.where(values >= meaning.threshold, PET, BACKGROUND).astype(np.uint8)
    pet = np.isin(values, list(meaning.pet))
    found = np.where(pet, PET, BACKGROUND).astype(np.uint8)
    found[np.isin(values, list(meaning.border))] = BORDER
    if meaning.ignored:
        near = cv2.dilate(pet.astype(np.uint8), np.ones((2 * BAND + 1, 2 * BAND + 1), np.uint8))
        found[np.isin(values, list(meaning.ignored)) & (near > 0)] = BORDER
    return found


def decide(table: Table, pet: str | None, colors: Sequence[str], threshold: int | None) -> Meaning | None:
    """What the values mean; None if they do not say and no option does.

    Args:
        table: the values.
        pet: the option --pet: class numbers or labels with commas, or "all".
        colors: the options --pet-color.
        threshold: the option --threshold, 0 to 255, for gray levels of 8 bits.

    Raises:
        DataError: an option does not fit the values.
    """
    if sum(option is not None for option in (pet, colors or None, threshold)) > 1:
        raise DataError("Of --pet, --pet-color and --threshold, give one.")
    if table.labels:
        if colors or threshold is not None:
            raise DataError("Annotations have labels; choose with --pet, not with --pet-color or --threshold.")
        return _by_label(pet, table)
    if threshold is not None:
        if table.color:
            raise DataError("The masks are colored, so --threshold does not fit; use --pet-color.")
        return Meaning(threshold=_scaled(threshold, table))
    if table.color and table.lossy and (colors or pet is not None):
        raise DataError("The masks are JPEG files, whose colors are blurred; export the masks as PNG.")
    if colors:
        return _chosen({_parse_color(each) for each in colors}, table)
    if pet is not None:
        return _by_number(pet, table)
    return _decide_by_color(table) if table.color else _decide_by_number(table)


def _by_label(pet: str | None, table: Table) -> Meaning | None:
    """The meaning of annotations: of several labels, the user chooses."""
    everything = frozenset(range(1, len(table.labels) + 1))
    if pet == "all" or (pet is None and len(everything) == 1):
        return Meaning(everything)
    if pet is None:
        return None
    wanted = [word.strip() for word in pet.split(",")]
    if missing := [word for word in wanted if word not in table.labels]:
        known = ", ".join(table.labels[:8])
        raise DataError(f"No annotation has the label {missing[0]!r}; --pet takes all, or some of {known}.")
    return Meaning(frozenset(table.labels.index(word) + 1 for word in wanted))


def _by_number(pet: str, table: Table) -> Meaning:
    if table.color and pet != "all":
        raise DataError(f"The masks are colored, so --pet {pet} does not fit; use --pet-color.")
    if pet == "all":
        chosen = set(table.pixels) - {0, VOID if table.color else IGNORED}
        return _chosen(chosen or set(table.pixels) - {0}, table)
    try:
        return _chosen({int(word) for word in pet.split(",")}, table)
    except ValueError:
        raise DataError(f"--pet is {pet!r}; give class numbers such as 8,12, or all.") from None


def _chosen(chosen: set[int], table: Table) -> Meaning:
    """The meaning if the user chose what is pet."""
    if missing := sorted(chosen - set(table.pixels)):
        present = ", ".join(map(table.name, sorted(table.pixels)[:8])) + (", ..." if len(table.pixels) > 8 else "")
        raise DataError(f"No mask holds {table.name(missing[0])[:20]}, chosen as pet; the masks hold {present}.")
    special = VOID if table.color else IGNORED
    ignored = {special} & set(table.pixels) - chosen if len(set(table.pixels) - {0}) > 1 else set()
    return Meaning(frozenset(chosen), ignored=frozenset(ignored))


def _decide_by_color(table: Table) -> Meaning | None:
    others = set(table.pixels) - {0, VOID}
    if len(others) != 1 or table.lossy:
        return None
    name = table.name(*others)
    return _chosen(others, table).guessed(f"{name} is pet; --pet-color changes it")


def _decide_by_number(table: Table) -> Meaning | None:
    found = set(table.pixels)
    if found in ({0, 255}, {0, 1}, {0, 65535}):
        return Meaning(frozenset(found - {0}))
    if found <= {1, 2, 3} and 1 in found and len(found) > 1:
        known = "" if 3 in found else "1 is pet and 2 background, as in trimaps without border; --pet 2 reverses it"
        return Meaning(frozenset({1}), frozenset({3}), guess=known)
    if found in ({0, 128, 255}, {0, 127, 255}):
        middle = found - {0, 255}
        return Meaning(
            frozenset({255}), frozenset(middle), guess=f"{min(middle)} is the border of a trimap; --pet changes it"
        )
    if len(found) == 2 and 0 in found:
        return Meaning(frozenset(found - {0}), guess=f"{max(found)} is pet; --pet changes it")
    if found == {0, 1, IGNORED} and table.is_mixed:
        return Meaning(frozenset({1, 255}), guess="some masks are 0 and 1, others 0 and 255; --pet changes it")
    if found == {0, 1, IGNORED}:
        return _chosen({1}, table).guessed("1 is pet and 255 is ignored; --pet changes it")
    if _is_soft(table):
        return Meaning(
            threshold=_scaled(128, table), guess="gray levels are soft edges, cut at 128; --threshold changes it"
        )
    return None


def _is_soft(table: Table) -> bool:
    """Whether the values are gray levels with soft edges, and not class numbers with a band of 255."""
    top = _top(table)
    scaled = {value: value * 255 // top for value in table.pixels}
    bright = sum(table.pixels[value] for value, level in scaled.items() if level >= (224 if table.lossy else 255))
    rest = sum(table.pixels[value] for value, level in scaled.items() if level >= (32 if table.lossy else 1))
    middle = {level for level in scaled.values() if 32 <= level < 224}
    return 2 * bright >= rest > 0 and (table.lossy or len(middle) >= _SOFT)


def _top(table: Table) -> int:
    return 255 if max(table.pixels) <= 255 else 65535


def _scaled(threshold: int, table: Table) -> float:
    if not 0 < threshold <= 255:
        raise DataError(f"--threshold is {threshold}; it must be 1 to 255.")
    return threshold * _top(table) / 255


def _parse_color(text: str) -> int:
    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        raise DataError(f"--pet-color is {text!r}; give a color such as red or #800000.") from None
    return red << 16 | green << 8 | blue
