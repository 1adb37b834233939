"""Tables of experiments: for a terminal, where no line is wider than it, as Markdown, CSV and JSON."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from petseg.config.networks import NETWORKS
from petseg.experiments.collect import Entry
from petseg.experiments.query import Row, Spread

GAP = "  "
NONE = "–"
_LEAST = 10  # characters of the columns of text


class Column(NamedTuple):
    """Header and cells; columns of text, which may be shortened, are aligned to the left."""

    header: str
    cells: list[str]
    text: bool = False

    @property
    def width(self) -> int:
        return max(map(len, [self.header, *self.cells]))


def text(rows: Sequence[Row], base: str, width: int) -> str:
    """Returns a table with a line per row: name, what differs from `base`, test Dice of each network, seconds."""
    names = Column("experiment", [row.name for row in rows], True)
    numbers = _numbers(rows)
    room = width - sum(len(GAP) + each.width for each in numbers) - len(GAP)
    changes = [_tokens(row) for row in rows]
    widest = max([len(f"differs from {base}"), *(len(" ".join(each)) for each in changes)])
    name_width = max(min(names.width, max(room // 2, room - widest)), _LEAST)
    rest = max(room - name_width, _LEAST)
    first = names._replace(cells=[_shorten(each, name_width) for each in names.cells])
    second = Column(_shorten(f"differs from {base}", rest), [_fit(each, rest) for each in changes], True)
    return _lines([first, second, *numbers], width)


def everything(entries: Sequence[Entry], width: int) -> str:
    """Returns a table with a line per experiment and network: all scores of metrics/test.json without intervals."""
    pairs = [(entry, name) for entry in entries for name in NETWORKS]
    scores = list(dict.fromkeys(score for entry, name in pairs for score in _test_scores(entry, name)))
    lines: list[list[str]] = []
    for entry, name in pairs:
        values = _test_scores(entry, name)
        seconds = entry.seconds.get(name)
        lines.append([*(_number(values.get(score)) for score in scores), _number(seconds, 0)])
    headers = [*(score.removeprefix("dice_") for score in scores), "seconds"]
    numbers = [Column(header, [line[i] for line in lines]) for i, header in enumerate(headers)]
    labels = Column("", [f"  {NETWORKS[name].label}" for _, name in pairs], True)
    table = _lines([labels, *numbers], width).splitlines()
    found = [table[0]]
    for i, entry in enumerate(entries):
        found.append(_fit([entry.name, *_tokens(Row((entry,)))], width))
        found += table[1 + i * len(NETWORKS) : 1 + (i + 1) * len(NETWORKS)]
    return "\n".join(found)


def markdown(rows: Sequence[Row], base: str) -> str:
    """Returns the table of `text` for a pull request, with nothing shortened."""
    changes = Column(f"differs from {base}", [" ".join(f"`{each}`" for each in _tokens(row)) for row in rows])
    columns = [Column("experiment", [row.name for row in rows]), changes, *_numbers(rows)]
    lines = [[each.header for each in columns], ["---", "---", *["---:"] * (len(columns) - 2)]]
    lines += [list(cells) for cells in zip(*(each.cells for each in columns), strict=True)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def as_csv(entries: Sequence[Entry]) -> str:
    """Returns one line per experiment: name, commits, seconds, all scores, and the parameters that differ somewhere."""
    scores = list(dict.fromkeys(key for entry in entries for key in entry.scores))
    changed = varying(entries)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["name", "sha", "baseline", *(f"{name}.seconds" for name in NETWORKS), *scores, *changed])
    for entry in entries:
        seconds = [entry.seconds.get(name) for name in NETWORKS]
        values = [_csv_value(entry.params.get(key, entry.changes.get(key))) for key in changed]
        numbers = [entry.scores.get(key) for key in scores]
        writer.writerow([entry.name, entry.sha, entry.baseline, *seconds, *numbers, *values])
    return buffer.getvalue().rstrip("\n")


def as_json(entries: Sequence[Entry]) -> str:
    """Returns a list with an object per experiment: the fields of `Entry`."""
    fields = ("name", "sha", "baseline", "changes", "scores", "seconds", "params")
    return json.dumps([{each: getattr(entry, each) for each in fields} for entry in entries], indent=2, default=str)


def varying(entries: Sequence[Entry]) -> list[str]:
    """The keys of `Entry.changes` in any experiment, in the order of params.yaml."""
    changed = {key for entry in entries for key in entry.changes}
    every = dict.fromkeys(key for entry in entries for key in (*entry.params, *entry.changes))
    return [key for key in every if key in changed]


def written(value: Any) -> str:
    """A value of a parameter as in YAML, on one line; 1e-4 rather than 0.0001."""
    if isinstance(value, float):
        return min(f"{value:g}", re.sub(r"\.?0*e([+-])0*", r"e\1", f"{value:e}").replace("e+", "e"), key=len)
    return value if isinstance(value, str) and value else json.dumps(value, default=str)


def _tokens(row: Row) -> list[str]:
    """`lr=0.003`; the marks `code` and `data` alone; and the last part of a key where no other parameter has it."""
    ends = Counter(key.rpartition(".")[2] for key in row.entries[0].params)
    short = {key: key.rpartition(".")[2] for key in row.changes}
    return [
        key if key in ("code", "data") else f"{end if ends[end] == 1 else key}={written(row.changes[key])}"
        for key, end in short.items()
    ]


def _numbers(rows: Sequence[Row]) -> list[Column]:
    dices = [Column(each.label, [_spread(row.spread(name), 4) for row in rows]) for name, each in NETWORKS.items()]
    columns = [*dices, Column("seconds", [_spread(row.spread("seconds"), 0) for row in rows])]
    if any(len(row.entries) > 1 for row in rows):
        columns.append(Column("n", [str(len(row.entries)) for row in rows]))
    return columns


def _spread(spread: Spread | None, digits: int) -> str:
    if spread is None:
        return NONE
    return _number(spread.mean, digits) + (f" ± {spread.sd:.{digits}f}" if spread.sd is not None and digits else "")


def _number(value: float | None, digits: int = 4) -> str:
    return NONE if value is None else f"{value:.{digits}f}"


def _csv_value(value: Any) -> Any:
    return value if isinstance(value, (int, float, str)) and not isinstance(value, bool) else json.dumps(value)


def _test_scores(entry: Entry, network: str) -> dict[str, float]:
    own = {key.partition(".")[2]: value for key, value in entry.scores.items() if key.startswith(f"{network}.")}
    left_out = re.compile("train_|valid_|epoch|temperature|parameters|.*_(low|high)$")
    return {key: value for key, value in own.items() if not left_out.match(key)}


def _fit(tokens: Sequence[str], width: int) -> str:
    """As many tokens as fit in `width`, and how many more there are."""
    for shown in range(len(tokens), 0, -1):
        more = f" +{len(tokens) - shown}" if shown < len(tokens) else ""
        if len(line := " ".join(tokens[:shown]) + more) <= width:
            return line
    more = f" +{len(tokens) - 1}" if len(tokens) > 1 else ""
    return _shorten(tokens[0], width - len(more)) + more if tokens else ""


def _shorten(text: str, width: int) -> str:
    """Leaves out the middle of a text, since names of experiments differ at their ends."""
    if len(text) <= width:
        return text
    end = (width - 1) // 2
    return f"{text[: width - 1 - end]}…{text[len(text) - end :]}"


def _lines(columns: Sequence[Column], width: int) -> str:
    """Joins columns; those on the right that do not fit in `width` are left out."""
    shown, used = [], -len(GAP)
    for column in columns:
        used += len(GAP) + column.width
        if used > width and shown:
            break
        shown.append(column)
    padded = [
        [f"{cell:{'<' if each.text else '>'}{each.width}}" for cell in (each.header, *each.cells)] for each in shown
    ]
    return "\n".join(GAP.join(line).rstrip() for line in zip(*padded, strict=True))
