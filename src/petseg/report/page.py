"""The whole report: figures as PNG files, and one HTML page that contains everything it shows and works offline."""

import base64
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from petseg.config.networks import NETWORKS
from petseg.config.params import Params
from petseg.config.training import LossParams
from petseg.report import charts, pictures
from petseg.report.inputs import Inputs, Record
from petseg.report.selection import RANKS, SAMPLE_RULE, extreme_rows, sample_rows
from petseg.report.theme import DARK, LIGHT, Theme, png, svg
from petseg.report.tiles import ERRORS, data_uri, load_picture, tile
from petseg.runtime.provenance import Commit

HERE = Path(__file__).parent
Table = dict[str, dict[str, str]]  # texts by row label and network


class Report:
    """One report: `figures` returns the PNG files, `page` the HTML text."""

    def __init__(self, inputs: Inputs, commit: Commit) -> None:
        self.inputs, self.commit, test = inputs, commit, inputs.test
        self.samples = [load_picture(inputs, row) for row in sample_rows(test)]
        self.extremes = {
            name: {rank: load_picture(inputs, row) for rank, row in extreme_rows(test, name).items()}
            for name in NETWORKS
        }
        kept = {name: trained["epoch"] for name, trained in inputs.trained.items()}
        self.charts: dict[str, Callable[[Theme], Figure]] = {
            "curves_dice": partial(charts.curves, inputs.curves, kept, "dice", "Dice, mean over images"),
            "curves_loss": partial(charts.curves, inputs.curves, kept, "loss", "Loss"),
            "breeds": partial(charts.breeds, test),
            "distribution": partial(charts.distribution, test),
        }

    def figures(self) -> dict[str, bytes]:
        """Returns PNG files by name; equal inputs give equal bytes."""
        drawings = self.charts | {
            "samples": partial(pictures.samples, self.samples),
            "extremes": partial(pictures.extremes, self.extremes),
        }
        return {f"{name}.png": png(draw) for name, draw in drawings.items()}

    def page(self) -> str:
        """Returns the page as HTML, with style, charts (for light and dark) and pictures inside."""
        inputs, params = self.inputs, self.inputs.params
        environment = Environment(
            loader=FileSystemLoader(HERE),
            undefined=StrictUndefined,
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["tile"] = lambda picture, what: data_uri(tile(picture, what))
        results = {
            name: {"scores": inputs.scores[name], "trained": inputs.trained[name], "training": inputs.training[name]}
            for name in NETWORKS
        }
        return environment.get_template("page.html").render(
            style=Markup((HERE / "style.css").read_text(encoding="utf-8")),
            themes={"light": LIGHT, "dark": DARK},
            errors=ERRORS,
            charts={name: (_svg_uri(draw, LIGHT), _svg_uri(draw, DARK)) for name, draw in self.charts.items()},
            commit=self.commit,
            networks=NETWORKS,
            params=params,
            test=inputs.test,
            results=fill(RESULTS, results),
            training=fill(TRAINING, inputs.training),
            evaluation=fill(MACHINE, inputs.evaluation),
            settings=settings_table(params),
            loss=loss_words(params.loss),
            splits=split_table(inputs.splits),
            breeds=breed_table(inputs.test),
            samples=self.samples,
            sample_rule=SAMPLE_RULE,
            extremes=self.extremes,
            ranks=RANKS,
        )


# Rows of the tables with a column for each network; the values are templates for `fill`.
RESULTS = {
    "Dice": "{scores[dice]:.4f}",
    "Dice, 95% confidence interval": "{scores[dice_low]:.4f} to {scores[dice_high]:.4f}",
    "Dice at the original image size": "{scores[dice_original]:.4f}",
    "IoU": "{scores[iou]:.4f}",
    "Precision": "{scores[precision]:.4f}",
    "Recall": "{scores[recall]:.4f}",
    "Test loss": "{scores[loss]:.4f}",
    "Validation Dice": "{trained[valid_dice]:.4f}",
    "Selected epoch": "{trained[epoch]}",
    "Parameters": "{trained[parameters]:,}",
    "Training time, h:mm:ss": "{training[time]}",
}
MACHINE = {
    "Numeric precision": "{precision}",
    "Device": "{device}",
    "Processor": "{device_name}",
    "CPU threads per process": "{threads}",
    "Python": "{python}",
    "PyTorch": "{torch}",
    "NumPy": "{numpy}",
    "Albumentations": "{albumentations}",
}
TRAINING = MACHINE | {
    "Processes": "{processes}",
    "Images per second": "{images_per_second:.1f}",
    "Data SHA-256, first 8 digits": "{data_sha256:.8}",
    "Started (UTC)": "{started:%Y-%m-%d %H:%M}",
}


def fill(rows: dict[str, str], values: dict[str, Record]) -> Table:
    """Fills in the templates of a table with the values of each network."""
    return {label: {name: template.format_map(own) for name, own in values.items()} for label, template in rows.items()}


def settings_table(params: Params) -> Table:
    """Returns every training parameter by its dotted key, as in params.yaml; "–" if a network does not have it."""
    flat = {name: params.training(name).flat() for name in NETWORKS}
    keys = dict.fromkeys(key for values in flat.values() for key in values if key != "network")
    return {key: {name: _yaml(values.get(key, "–")) for name, values in flat.items()} for key in keys}


def _yaml(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def loss_words(loss: LossParams) -> str:
    """Describes a loss, without a full stop: "Binary cross entropy + 0.5 × soft Dice loss over the batch"."""
    terms = {
        "binary cross entropy": loss.bce,
        "cross entropy of two classes": loss.cross_entropy,
        f"soft Dice loss over the {loss.dice_over}": loss.dice,
    }
    text = " + ".join(term if weight == 1 else f"{weight:g} × {term}" for term, weight in terms.items() if weight)
    return text[0].upper() + text[1:]


def split_table(splits: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Returns for each split the number of images, of images of each species, and of breeds."""
    table = {}
    for split in ("train", "valid", "test"):
        rows = splits.query("split == @split")
        species = {kind: int((rows["species"] == kind).sum()) for kind in sorted(splits["species"].unique())}
        table[split] = {"Images": len(rows), **species, "Breeds": rows["breed"].nunique()}
    return table


def breed_table(test: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns for each breed, by species and name: species, breed, number of images, and each network's mean Dice."""
    groups: Any = test.groupby(["species", "breed"])
    return groups[list(NETWORKS)].mean().assign(images=groups.size()).reset_index().to_dict("records")


def _svg_uri(draw: Callable[[Theme], Figure], theme: Theme) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg(draw, theme).encode("utf-8")).decode("ascii")
