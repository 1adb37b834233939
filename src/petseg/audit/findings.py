"""What an audit finds: a sentence that says what to do, and the images concerned."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = {
    ERROR: "the pipeline stops there, or its result would be meaningless",
    WARNING: "a result would be worse, or look better than it is",
    NOTE: "worth knowing",
}


@dataclass(frozen=True)
class Item:
    """An image, or several that belong together such as duplicates; `note` says what is special about them."""

    images: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """One kind of problem in a data set.

    Attributes:
        kind: a short name, such as `empty-masks`.
        severity: a key of SEVERITIES.
        sentence: what is wrong and what to do.
        items: the images concerned, the most important first.
        numbers: figures of the sentence, for programs.
    """

    kind: str
    severity: str
    sentence: str
    items: tuple[Item, ...] = ()
    numbers: Mapping[str, float | int | str] = field(default_factory=dict)

    @property
    def images(self) -> list[str]:
        """The names of all images concerned, sorted."""
        return sorted({name for item in self.items for name in item.images})

    @property
    def grouped(self) -> bool:
        """Whether images belong together."""
        return any(len(item.images) > 1 for item in self.items)

    def as_json(self) -> dict[str, Any]:
        """The finding as JSON values."""
        items = [{"images": list(item.images), "note": item.note} for item in self.items]
        facts = {"kind": self.kind, "severity": self.severity, "sentence": self.sentence}
        return facts | {"numbers": dict(self.numbers), "images": self.images, "items": items}


def single(notes: Mapping[str, str]) -> tuple[Item, ...]:
    """One item for each image; `notes` by name."""
    return tuple(Item((name,), note) for name, note in notes.items())


def brief(error: str) -> str:
    """The part of an error message that says what is wrong with a file: without its path, and without the cure."""
    _, _, words = error.partition(" ")
    return words.partition(";")[0].partition(": ")[0]


def count(things: Collection | int, noun: str, plural: str = "") -> str:
    """A number and its noun: "1 mask", "1,200 masks"."""
    number = things if isinstance(things, int) else len(things)
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def verb(things: Collection | int, singular: str, plural: str) -> str:
    """The form of a verb that suits a number: `verb(1, "is", "are")` is "is"."""
    number = things if isinstance(things, int) else len(things)
    return singular if number == 1 else plural
