"""The whole report: figures as PNG, SVG and PDF, and one HTML page that contains all it shows and works offline."""

import base64
import re
from collections.abc import Callable
from functools import partial

from markupsafe import Markup, escape
from matplotlib.figure import Figure

from petseg.config.networks import NETWORKS
from petseg.report import charts, content, overlays, pictures, theme
from petseg.report.again import Origin
from petseg.report.inputs import Inputs
from petseg.report.selection import SAMPLE_RULE, extreme_rows, sample_rows, worst_rows
from petseg.report.theme import DARK, LIGHT, Theme, svg
from petseg.report.tiles import ERRORS, data_uri, load_picture

Drawing = Callable[[Theme], Figure]


class Report:
    """One report: `figures` returns PNG files, `paper_figures` SVG and PDF files, `page` the HTML text."""

    def __init__(self, inputs: Inputs, origin: Origin) -> None:
        self.inputs, self.origin, test = inputs, origin, inputs.test
        self.samples = [load_picture(inputs, row) for row in sample_rows(test)]
        kept = {name: trained["epoch"] for name, trained in inputs.trained.items()}
        two = len(NETWORKS) == 2
        self.charts: dict[str, Drawing] = {
            "forest": partial(charts.forest, test, inputs.scores),
            "curves_dice": partial(charts.curves, inputs.curves, kept, "dice", "Dice, mean over images"),
            "curves_loss": partial(charts.curves, inputs.curves, kept, "loss", "Loss"),
            "breeds": partial(charts.differences if two else charts.breeds, test),
            "scores": partial(charts.pairs if two else charts.distribution, test),
            "reliability": partial(charts.reliability, inputs.reliability),
        }

    def figures(self) -> dict[str, bytes]:
        """Returns the PNG files of plots/ by name; equal inputs give equal bytes."""
        extremes = {
            name: {rank: load_picture(self.inputs, row) for rank, row in extreme_rows(self.inputs.test, name).items()}
            for name in NETWORKS
        }
        drawings: dict[str, Drawing] = {
            "breeds": self.charts["breeds"],
            "samples": partial(pictures.samples, self.samples),
            "extremes": partial(pictures.extremes, extremes),
        }
        return {f"{name}.png": theme.png(draw) for name, draw in drawings.items()}

    def paper_figures(self) -> dict[str, bytes]:
        """Returns every chart as SVG and PDF by name, with data, parameters and commit in the metadata."""
        subject = "; ".join(f"{label} {text}" for label, text in content.chips(self.inputs, self.origin).items())
        subject = f"{subject}; made by: {self.origin.command}".replace("×", "x")
        return {
            f"{name}.{kind}": file
            for name, draw in self.charts.items()
            for kind, file in theme.paper(draw, subject).items()
        }

    def page(self) -> str:
        """Returns the page as HTML, with style, charts (for light and dark) and pictures inside."""
        inputs, params = self.inputs, self.inputs.params
        worst = [load_picture(inputs, row) for row in worst_rows(inputs.test, list(NETWORKS))]
        environment = content.templates(autoescape=True)
        environment.filters |= {"photo": data_uri, "outline": overlays.outline, "cutout": overlays.cutout}
        environment.filters["code"] = _mark_code
        environment.globals |= {"errors_of": overlays.errors, "explanation": content.explanation}
        return environment.get_template("page.html").render(
            style=Markup((content.HERE / "style.css").read_text(encoding="utf-8")),
            script=Markup((content.HERE / "page.js").read_text(encoding="utf-8")),
            themes={"light": LIGHT, "dark": DARK},
            errors=ERRORS,
            charts={name: (_svg_uri(draw, LIGHT), _svg_uri(draw, DARK)) for name, draw in self.charts.items()},
            origin=self.origin,
            chips=content.chips(inputs, self.origin),
            networks=NETWORKS,
            params=params,
            test=inputs.test,
            heading=content.heading(params),
            finding=content.finding(inputs.test),
            scratch=content.from_scratch(inputs),
            warnings=content.warnings(inputs),
            caveats=content.caveats(params),
            results=content.result_table(inputs),
            training=content.fill(content.TRAINING, inputs.training),
            evaluation=content.fill(content.MACHINE, inputs.evaluation),
            settings=content.settings_table(params),
            loss=content.loss_words(params.loss),
            best_epoch=content.best_epoch(params),
            methods=content.definitions(params),
            splits=content.split_table(inputs.splits),
            breeds=content.breed_table(inputs.test),
            conventions=inputs.conventions,
            calibration=inputs.calibration,
            samples=self.samples,
            sample_rule=SAMPLE_RULE,
            worst=worst,
        )


def _svg_uri(draw: Drawing, theme: Theme) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg(draw, theme).encode("utf-8")).decode("ascii")


def _mark_code(sentence: str) -> Markup:
    """Escapes a sentence; what is between backticks becomes code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(sentence))))
