"""The page of `petseg results --html`: all experiments in one HTML file that works offline."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from petseg.config.networks import NETWORKS
from petseg.experiments import query, revisions, table
from petseg.experiments.collect import Entry
from petseg.report import theme

HERE = Path(__file__).parent
POINTS = 100  # most points of a learning curve


def render(entries: Sequence[Entry], problems: Sequence[str]) -> str:
    """Returns the page as HTML, with scripts and data inside; equal inputs give equal bytes."""
    environment = Environment(
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    # In a script element only `<` could end it.
    data = json.dumps(_data(entries), ensure_ascii=False, default=str).replace("<", "\\u003c")
    return environment.get_template("results_page.html").render(
        data=Markup(data),
        style=_text("results_page.css"),
        scripts=[_text("results_page.js"), _text("results_charts.js")],
        themes={"light": theme.LIGHT, "dark": theme.DARK},
        networks=NETWORKS,
        entries=entries,
        problems=problems,
    )


def _text(name: str) -> Markup:
    return Markup((HERE / name).read_text(encoding="utf-8"))


def _data(entries: Sequence[Entry]) -> dict[str, Any]:
    """What the scripts show: the networks, the parameters that vary, and the experiments with their curves."""
    curves = _curves(entries)
    return {
        "networks": [{"name": name, "label": each.label} for name, each in NETWORKS.items()],
        "keys": table.varying(entries),
        "experiments": [
            {
                "name": each.name,
                "sha": each.sha,
                "group": group,
                "changes": {key: table.written(value) for key, value in each.changes.items()},
                "params": {key: each.params.get(key, each.changes.get(key)) for key in table.varying(entries)},
                "dice": {name: each.scores.get(f"{name}.dice") for name in NETWORKS},
                "seconds": each.seconds,
                "total": each.total_seconds,
                "curves": curves[each.sha],
            }
            for group, row in enumerate(query.fold(entries, keep_equal=True))
            for each in row.entries
        ],
    }


def _curves(entries: Sequence[Entry]) -> dict[str, dict[str, list[list[float]]]]:
    """Valid Dice by epoch as [epoch, Dice] pairs, by commit and network, from plots/train/NAME.csv."""
    paths = {name: f"plots/train/{name}.csv" for name in NETWORKS}
    texts = revisions.read_many([(each.sha, path) for each in entries for path in paths.values()])
    return {each.sha: {name: _curve(texts[each.sha, path]) for name, path in paths.items()} for each in entries}


def _curve(text: str | None) -> list[list[float]]:
    try:
        points = [[int(row["epoch"]), float(row["valid_dice"])] for row in csv.DictReader(io.StringIO(text or ""))]
    except (KeyError, TypeError, ValueError):  # not written by the stage train
        return []
    step = -(-len(points) // POINTS) or 1
    return [*points[:-1:step], *points[-1:]]
