"""The whole report: figures as PNG files, and one HTML page that contains everything it shows and works offline."""

import base64
from collections.abc import Callable
from functools import partial

from markupsafe import Markup
from matplotlib.figure import Figure

from petseg.config.networks import NETWORKS
from petseg.report import charts, content, pictures
from petseg.report.inputs import Inputs
from petseg.report.selection import RANKS, SAMPLE_RULE, extreme_rows, sample_rows
from petseg.report.theme import DARK, LIGHT, Theme, png, svg
from petseg.report.tiles import ERRORS, data_uri, load_picture, tile
from petseg.runtime.provenance import Commit


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
            "breeds": partial(charts.differences if len(NETWORKS) == 2 else charts.breeds, test),
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
        environment = content.templates(autoescape=True)
        environment.filters["tile"] = lambda picture, what: data_uri(tile(picture, what))
        return environment.get_template("page.html").render(
            style=Markup((content.HERE / "style.css").read_text(encoding="utf-8")),
            themes={"light": LIGHT, "dark": DARK},
            errors=ERRORS,
            charts={name: (_svg_uri(draw, LIGHT), _svg_uri(draw, DARK)) for name, draw in self.charts.items()},
            commit=self.commit,
            networks=NETWORKS,
            params=params,
            test=inputs.test,
            heading=content.heading(params),
            finding=content.finding(inputs.test),
            scratch=content.from_scratch(inputs),
            warnings=content.warnings(inputs),
            results=content.result_table(inputs),
            training=content.fill(content.TRAINING, inputs.training),
            evaluation=content.fill(content.MACHINE, inputs.evaluation),
            settings=content.settings_table(params),
            loss=content.loss_words(params.loss),
            best_epoch=content.best_epoch(params),
            methods=content.definitions(params) | content.caveats(params),
            splits=content.split_table(inputs.splits),
            breeds=content.breed_table(inputs.test),
            conventions=inputs.conventions,
            calibration=inputs.calibration,
            samples=self.samples,
            sample_rule=SAMPLE_RULE,
            extremes=self.extremes,
            ranks=RANKS,
        )


def _svg_uri(draw: Callable[[Theme], Figure], theme: Theme) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg(draw, theme).encode("utf-8")).decode("ascii")
