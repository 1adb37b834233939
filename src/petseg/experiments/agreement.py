"""Whether two runs gave the same files: equal bytes, or numbers as close as with two seeds."""

import csv
import io
import json
import math
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from petseg.config.overrides import flatten
from petseg.experiments.query import Row

EQUAL, WITHIN, DIFFERENT = "equal bytes", "within tolerance", "different"
SEED_SD = 0.0082  # of test Dice over ten seeds at a mean Dice of 0.81, both networks: benchmarks/precision.md
SEED_ERROR = 0.19  # 1 - that Dice
TWO_RUNS = 2.8  # two seeds differ by more than 2.8 standard deviations, 1.96 * sqrt(2), in 5 % of cases
_FREE = {"epoch"}  # the best epoch: any may be
_EXACT = {"parameters", "lr", "size", "images", "empty_truths"}  # known before the training


class Tolerance(NamedTuple):
    """How far numbers may be apart: up to 1, such as Dice, by `score`; larger ones by the share `relative`."""

    score: float
    relative: float
    source: str

    def allows(self, key: str, first: float, second: float) -> bool:
        """Whether two values of a score are close enough; `key` may be dotted."""
        name = key.rpartition(".")[2]
        if first == second or name in _FREE or (math.isnan(first) and math.isnan(second)):
            return True
        if name in _EXACT:
            return False
        largest = max(abs(first), abs(second))
        return abs(first - second) <= (self.score if largest <= 1 else self.relative * largest)


class Verdict(NamedTuple):
    """What was found about a file."""

    path: str
    status: str
    note: str = ""


def tolerance(rows: Sequence[Row], sha: str, networks: Sequence[str]) -> Tolerance:
    """The tolerance from the repetitions of a commit with other seeds, if there are three; else from the benchmark."""
    for row in rows:
        spreads = [spread for name in networks if (spread := row.spread(name))]
        if any(each.sha == sha for each in row.entries) and spreads and min(each.n for each in spreads) >= 3:
            sd = max(each.sd or 0 for each in spreads)
            error = max(1 - statistics.fmean(each.mean for each in spreads), sd)
            return Tolerance(TWO_RUNS * sd, TWO_RUNS * sd / error, f"{len(row.entries)} seeds of this experiment")
    return Tolerance(TWO_RUNS * SEED_SD, TWO_RUNS * SEED_SD / SEED_ERROR, "ten seeds in benchmarks/precision.md")


def compare(path: str, first: bytes | None, second: bytes | None, allowed: Tolerance) -> Verdict:
    """Compares a JSON or CSV file of two runs.

    In a CSV file the texts must be equal, and the means of the columns close: single images and epochs vary more. Where
    a training stopped early, the epochs that both have are compared.
    """
    if first is None or second is None:
        return Verdict(path, DIFFERENT, "only in the new run" if first is None else "missing in the new run")
    if first == second:
        return Verdict(path, EQUAL)
    try:
        read = _read_json if path.endswith(".json") else _read_csv
        old, new = read(first.decode("utf-8"), second.decode("utf-8"))
    except (ValueError, AttributeError):
        return Verdict(path, DIFFERENT, "one of them cannot be read")
    if old.keys() != new.keys():
        return Verdict(path, DIFFERENT, f"only one has {', '.join(sorted(old.keys() ^ new.keys())[:3])}")
    changed = [key for key in old if old[key] != new[key]]
    wrong = [key for key in changed if not _close(key, old[key], new[key], allowed)]
    if not changed:
        return Verdict(path, WITHIN, "equal numbers, written differently")
    key = max(wrong or changed, key=lambda each: _distance(old[each], new[each]))
    note = f"{key} was {_written(old[key])}, is {_written(new[key])}"
    return Verdict(path, DIFFERENT if wrong else WITHIN, note)


def _close(key: str, first: Any, second: Any, allowed: Tolerance) -> bool:
    if isinstance(first, (int, float)) and isinstance(second, (int, float)):
        return allowed.allows(key, first, second)
    return first == second


def _distance(first: Any, second: Any) -> float:
    return abs(first - second) if isinstance(first, (int, float)) and isinstance(second, (int, float)) else math.inf


def _written(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:60]


def _read_json(*texts: str) -> list[dict[str, Any]]:
    return [flatten(json.loads(text)) for text in texts]


def _read_csv(*texts: str) -> list[dict[str, Any]]:
    """Means of the columns of numbers, and the columns of texts whole, of both tables."""
    tables = [list(csv.DictReader(io.StringIO(text))) for text in texts]
    if all(table and "epoch" in table[0] for table in tables):
        shortest = min(map(len, tables))
        tables = [table[:shortest] for table in tables]
    return [_columns(table) for table in tables if table]


def _columns(table: Sequence[dict[str, str]]) -> dict[str, Any]:
    if "share" in table[0]:  # bins, of which the empty ones are left out: their sums, weighted by share
        shares = [float(row["share"]) for row in table]
        numbers = [key for key in table[0] if key not in ("network", "state", "share")]
        return {key: sum(float(row[key]) * share for row, share in zip(table, shares, strict=True)) for key in numbers}
    return {"rows": str(len(table))} | {key: _column([row[key] for row in table]) for key in table[0]}


def _column(cells: Sequence[str]) -> float | str:
    try:
        numbers = [float(cell) for cell in cells if cell]
    except ValueError:
        return "\n".join(cells)
    return statistics.fmean(numbers) if numbers else ""
