"""Which experiments a table shows, and how: conditions, repetitions over seeds, order."""

import difflib
import fnmatch
import json
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from petseg.config.networks import NETWORKS
from petseg.config.overrides import parse_yaml
from petseg.experiments.collect import SEED, Entry
from petseg.runtime.errors import PetsegError

_CONDITION = re.compile(r"\s*([\w.]+)\s*(<=|>=|!=|==|=|<|>)\s*(.*?)\s*")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class Spread(NamedTuple):
    """Mean over seeds, standard deviation (None for one seed), number of seeds."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True)
class Row:
    """One experiment, or its repetitions with other seeds."""

    entries: tuple[Entry, ...]

    @property
    def name(self) -> str:
        more = len(self.entries) - 1
        return f"{self.entries[0].name} +{more}" if more else self.entries[0].name

    @property
    def changes(self) -> dict[str, Any]:
        """What differs from HEAD; without the seed if there are several."""
        changes = self.entries[0].changes
        return {key: value for key, value in changes.items() if key != SEED or len(self.entries) == 1}

    def spread(self, key: str) -> Spread | None:
        """The mean of a number over the seeds that have it; None if none has."""
        found = [value(each, key) for each in self.entries]
        numbers = [each for each in found if is_number(each)]
        if not numbers:
            return None
        return Spread(statistics.fmean(numbers), statistics.stdev(numbers) if len(numbers) > 1 else None, len(numbers))


def is_number(each: Any) -> bool:
    return isinstance(each, (int, float)) and not isinstance(each, bool)


def value(entry: Entry, key: str) -> Any:
    """What an experiment has under a key of `keys`; None if it lacks it. A network stands for its test Dice."""
    if key in ("name", "sha", "baseline"):
        return getattr(entry, key)
    if key == "seconds":
        return entry.total_seconds
    if key in NETWORKS:
        return entry.scores.get(f"{key}.dice")
    return entry.scores.get(key, entry.params.get(key, entry.changes.get(key)))


def keys(entries: Sequence[Entry]) -> list[str]:
    """All keys that `value` knows."""
    parts = [each for entry in entries for each in (*entry.params, *entry.scores, *entry.changes)]
    return list(dict.fromkeys(["name", *NETWORKS, "seconds", *parts, "sha", "baseline"]))


def find_key(text: str, valid: Sequence[str]) -> str:
    """Returns a key, which may be named by its last part if only one has it; raises PetsegError for an unknown one."""
    ends = [key for key in valid if key == text or key.endswith(f".{text}")]
    if text in ends or len(ends) == 1:
        return text if text in ends else ends[0]
    if ends:
        raise PetsegError(f"{text} could be {', '.join(ends)}; write one of them.")
    near = difflib.get_close_matches(text, [*valid, *(key.rpartition(".")[2] for key in valid)], n=1)
    hint = f"the nearest key is {near[0]}" if near else "keys are parameters such as lr and scores such as unet.dice"
    raise PetsegError(f"No experiment has {text}; {hint}.")


def where(entries: Sequence[Entry], conditions: Sequence[str]) -> list[Entry]:
    """Returns the experiments for which all conditions hold, such as `lr<1e-3`, `unet.dice>=0.9`, `name=laptop-*`.

    Raises:
        PetsegError: a condition has another form, or an unknown key.
    """
    kept, valid = list(entries), keys(entries)
    for text in conditions:
        match = _CONDITION.fullmatch(text)
        if not match:
            raise PetsegError(f"--where {text!r} is not a condition; write one such as 'lr<1e-3' or 'name=laptop-*'.")
        key, sign = find_key(match[1], valid), match[2]
        other = match[3] if key == "name" else parse_yaml(match[3], f"--where {text!r}")
        kept = [each for each in kept if _holds(value(each, key), sign, other)]
    return kept


def _holds(own: Any, sign: str, other: Any) -> bool:
    if sign in _COMPARE:
        return is_number(own) and is_number(other) and _COMPARE[sign](own, other)
    equal = fnmatch.fnmatchcase(own, other) if isinstance(own, str) and isinstance(other, str) else own == other
    return equal != (sign == "!=")


def fold(entries: Sequence[Entry], keep_equal: bool = False) -> list[Row]:
    """Joins experiments that differ in their seed alone.

    Of several with one seed, which are equal, only the first is kept, unless `keep_equal`.
    """
    groups: dict[str, dict[str, Entry]] = {}
    for each in entries:
        seed = each.sha if keep_equal else json.dumps(each.params.get(SEED))
        groups.setdefault(each.same, {}).setdefault(seed, each)
    return [Row(tuple(group.values())) for group in groups.values()]


def sort(rows: Sequence[Row], column: str, valid: Sequence[str]) -> list[Row]:
    """Orders rows by a key: scores from the best, which for losses is the lowest, all else from the lowest.

    A minus before the key reverses the order. Rows that lack it are last.
    """
    key = find_key(column.removeprefix("-"), valid)
    found = [(row.spread(key), value(row.entries[0], key), row) for row in rows]
    numbers = [(spread.mean, row) for spread, _, row in found if spread]
    texts = [(str(each), row) for spread, each, row in found if not spread and each is not None]
    rest = [row for spread, each, row in found if not spread and each is None]
    down = _higher_is_better(key) != column.startswith("-")
    ordered = [sorted(each, key=lambda pair: pair[0], reverse=down) for each in (numbers, texts)]
    return [row for part in ordered for _, row in part] + rest


def _higher_is_better(key: str) -> bool:
    network, _, score = key.partition(".")
    good = score.endswith(("iou", "nsd", "precision", "recall")) or ("dice" in score and "soft" not in score)
    return network in NETWORKS and (not score or good)
