"""The whole report: figures as PNG, and one page that holds everything and opens without a network."""

import base64
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from petseg.config.networks import NETWORKS
from petseg.config.training import LossParams, Training
from petseg.report import charts, pictures
from petseg.report.inputs import LABELS, Inputs, TestScores
from petseg.report.provenance import Commit
from petseg.report.selection import RANKS, SAMPLE_RULE, extreme_rows, sample_rows
from petseg.report.theme import DARK, LIGHT, Theme, png, svg
from petseg.report.tiles import FALSE_NEGATIVE, FALSE_POSITIVE, Picture, data_uri, load_pictures

HERE = Path(__file__).parent
SOURCES = {
    "synthetic": "drawn pets",
    "oxford": "photographs of Oxford-IIIT Pet",
    "folder": "own images",
}


class Report:
    """Everything of one report. `figures` makes the PNG files, `page` the HTML text."""

    def __init__(self, inputs: Inputs, commit: Commit) -> None:
        test = inputs.test
        samples = sample_rows(test)
        extremes = {name: extreme_rows(test, name) for name in NETWORKS}
        loaded = load_pictures(inputs, [*samples, *(row for ranks in extremes.values() for row in ranks.values())])
        self.inputs, self.commit = inputs, commit
        kept = {name: int(inputs.trained[name].epoch) for name in NETWORKS}
        self.samples: list[Picture] = [loaded[row] for row in samples]
        self.extremes = {name: {rank: loaded[row] for rank, row in ranks.items()} for name, ranks in extremes.items()}
        self.charts: dict[str, Callable[[Theme], Figure]] = {
            "curves_dice": partial(charts.curves, inputs.curves, kept, "dice", "Dice, mean over images"),
            "curves_loss": partial(charts.curves, inputs.curves, kept, "loss", "Loss"),
            "breeds": partial(charts.breeds, test),
            "distribution": partial(charts.distribution, test),
        }

    def figures(self) -> dict[str, bytes]:
        """PNG bytes by file name; equal inputs give equal bytes."""
        drawings = {
            **self.charts,
            "samples": partial(pictures.samples, self.samples),
            "extremes": partial(pictures.extremes, self.extremes),
        }
        return {f"{name}.png": png(draw) for name, draw in drawings.items()}

    def page(self) -> str:
        """The page as HTML text; style, charts (in both themes) and pictures are in it."""
        environment = Environment(
            loader=FileSystemLoader(HERE),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(duration=duration, count=count, words=words, tile=_tile)
        inputs = self.inputs
        used = {name: inputs.params.training(name) for name in NETWORKS}
        return environment.get_template("page.html").render(
            style=Markup((HERE / "style.css").read_text(encoding="utf-8")),
            colours=_colours(),
            charts={
                name: tuple(_svg_uri(svg(draw, theme)) for theme in (LIGHT, DARK)) for name, draw in self.charts.items()
            },
            commit=self.commit,
            labels=LABELS,
            ranked=sorted(NETWORKS, key=lambda name: -inputs.scores[name].dice),
            networks=NETWORKS,
            params=inputs.params,
            used=used,
            settings=settings_table(used),
            loss=loss_words(inputs.params.loss),
            scores=inputs.scores,
            trained=inputs.trained,
            runs=inputs.runs,
            subject=SOURCES[inputs.params.data.source],
            splits=split_table(inputs.splits),
            test_images=len(inputs.test),
            samples=self.samples,
            sample_rule=SAMPLE_RULE,
            extremes=self.extremes,
            ranks=RANKS,
            breeds=breed_table(inputs.test),
            medians={name: inputs.test[name].median() for name in NETWORKS},
            measures=MEASURES,
        )


# Rows of the table of results: what a person reads, and the field of TestScores.
MEASURES: tuple[tuple[str, Callable[[TestScores], str]], ...] = (
    ("Dice", lambda scores: f"{scores.dice:.4f}"),
    ("Dice, 95 % interval", lambda scores: f"{scores.dice_low:.4f}–{scores.dice_high:.4f}"),
    ("Dice at the images’ original sizes", lambda scores: f"{scores.dice_original:.4f}"),
    ("IoU", lambda scores: f"{scores.iou:.4f}"),
    ("Precision", lambda scores: f"{scores.precision:.4f}"),
    ("Recall", lambda scores: f"{scores.recall:.4f}"),
)


def settings_table(used: dict[str, Training]) -> list[tuple[str, dict[str, object]]]:
    """Every parameter of the trainings: its dotted key, and its value by network; "–" where a network has none."""
    flat = {name: training.flat() for name, training in used.items()}
    keys = dict.fromkeys(key for values in flat.values() for key in values if key != "network")
    return [(key, {name: values.get(key, "–") for name, values in flat.items()}) for key in keys]


def loss_words(loss: LossParams) -> str:
    """A loss as a sentence without its full stop: "Binary cross entropy + 0.5 × soft Dice loss over the batch"."""
    kinds = {
        "binary cross entropy": loss.bce,
        "cross entropy of two classes": loss.cross_entropy,
        f"soft Dice loss over the {'batch' if loss.dice_over == 'batch' else 'image'}": loss.dice,
    }
    text = " + ".join(kind if weight == 1 else f"{weight:g} × {kind}" for kind, weight in kinds.items() if weight)
    return text[0].upper() + text[1:]


def split_table(splits: pd.DataFrame) -> list[dict[str, object]]:
    """For each split: its name, number of images and breeds, and the number of images of each species (`species`)."""
    kinds = sorted(splits["species"].unique())
    rows = []
    for name in ("train", "valid", "test"):
        rows_of_split = splits[splits["split"] == name]
        counts = {kind: int((rows_of_split["species"] == kind).sum()) for kind in kinds}
        rows.append(
            {"name": name, "images": len(rows_of_split), "breeds": rows_of_split["breed"].nunique(), "species": counts}
        )
    return rows


def breed_table(test: pd.DataFrame) -> list[dict[str, object]]:
    """For each breed, by species and name: species, breed, number of images and each network's mean Dice."""
    groups = test.groupby(["species", "breed"])
    return [
        {"species": species, "breed": breed, "images": len(group), **group[list(NETWORKS)].mean().to_dict()}
        for (species, breed), group in groups
    ]


def duration(seconds: float) -> str:
    """Seconds as people say them: `48 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def count(number: int) -> str:
    """A whole number with narrow spaces between thousands."""
    return f"{number:,}".replace(",", "\u202f")


def words(name: str) -> str:
    """A breed as words: `american_bulldog` is `american bulldog`."""
    return name.replace("_", " ")


def _tile(picture: Picture, what: str) -> str:
    return data_uri(pictures.tile_of(picture, what))


def _svg_uri(text: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(text.encode("utf-8")).decode("ascii")


def _colours() -> dict[str, object]:
    """The figures' colours, for the page's own style."""
    errors = {"false_positive": FALSE_POSITIVE, "false_negative": FALSE_NEGATIVE}
    return {
        "light": LIGHT,
        "dark": DARK,
        **{name: "#" + bytes(colour).hex() for name, colour in errors.items()},
    }
