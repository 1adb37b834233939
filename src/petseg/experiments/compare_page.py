"""The page of `petseg compare --html`: one HTML file that works offline."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from petseg.experiments import compare_text
from petseg.experiments.compare import Comparison, Group
from petseg.report import theme

HERE = Path(__file__).parent
LEFT, RIGHT, ROW, TALL_ROW, PADDING = 170, 610, 24, 38, 12  # of the charts, in SVG units


def render(comparisons: Sequence[Comparison], differing: Sequence[str]) -> str:
    """Returns the page as HTML; equal inputs give equal bytes."""
    environment = Environment(
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    several = len(comparisons) > 1
    return environment.get_template("compare_page.html").render(
        style=Markup((HERE / "results_page.css").read_text(encoding="utf-8")),
        themes={"light": theme.LIGHT, "dark": theme.DARK},
        heading=f"{comparisons[0].first.name} and {comparisons[0].second.name}",
        differing=compare_text.differences(differing) if differing else "",
        comparisons=[
            {
                "verdict": compare_text.verdict(each),
                "limits": compare_text.limits(each, several),
                "chart": chart(each),
                "means": means(each),
            }
            for each in comparisons
        ],
    )


def means(comparison: Comparison) -> dict[str, Any]:
    """Returns the positions of both sides' mean scores: a dot for each seed, and their mean."""
    sides = comparison.first, comparison.second
    values = [side.scores(comparison.score).mean(axis=1) for side in sides]
    low, high = min(map(min, values)), max(map(max, values))
    room = (high - low) / 20 or 0.001
    low, high = low - room, high + room

    def place(value: float) -> float:
        return round(LEFT + (value - low) / (high - low) * (RIGHT - LEFT), 1)

    rows = [
        {
            "name": f"{side.name}, {side.label}" if side.name != side.label else side.name,
            "y": PADDING + TALL_ROW * (number + 0.5),
            "seeds": [place(value) for value in own],
            "mean": place(own.mean()),
            "text": f"{own.mean():.4f}",
        }
        for number, (side, own) in enumerate(zip(sides, values, strict=True))
    ]
    ends = [f"{low:.4f}", f"{high:.4f}"]
    return {"rows": rows, "left": LEFT, "right": RIGHT, "ends": ends, "height": PADDING + TALL_ROW * len(rows)}


def chart(comparison: Comparison) -> dict[str, Any]:
    """Returns the positions of a forest plot: all images, species, breeds, with their intervals around 0."""
    groups = [Group("all", "all images", comparison.whole, comparison.p_holm), *comparison.groups]
    ends = [abs(value) for group in groups for value in group.difference[:3] if not math.isnan(value)]
    most = max(ends) or 1.0

    def place(value: float) -> float:
        return round((LEFT + RIGHT) / 2 + value / most * (RIGHT - LEFT) / 2, 1)

    rows = [
        {
            "name": group.name.replace("_", " "),
            "images": group.difference.images,
            "y": PADDING + ROW * (number + 0.5),
            "mean": place(group.difference.mean),
            "ends": [place(end) for end in group.difference[1:3] if not math.isnan(end)],
            "text": compare_text.interval(group.difference),
            "p": compare_text.number(group.p_holm),
        }
        for number, group in enumerate(groups)
    ]
    height = PADDING * 2 + ROW * len(rows)
    return {"rows": rows, "zero": place(0), "left": LEFT, "right": RIGHT, "most": most, "height": height}
