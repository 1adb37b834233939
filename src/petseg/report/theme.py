"""Colors and fonts of all figures, for light and dark backgrounds, and conversion of figures to PNG and SVG.

Equal figures give equal bytes: the files hold no dates, versions or random ids.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from petseg.config.networks import NETWORKS

PIXELS_PER_INCH = 150
PAPER_WIDTH = 3.5  # inches: one of two columns
PAPER_TEXT = {"font.size": 7, "axes.titlesize": 7.5, "lines.markersize": 4}  # points


@dataclass(frozen=True)
class Theme:
    """Colors as #rrggbb; `dark` says which of its two colors each network has."""

    background: str
    ink: str
    faint: str
    grid: str
    dark: bool

    @property
    def networks(self) -> dict[str, str]:
        """The color of each network of the registry."""
        return {name: network.colors[self.dark] for name, network in NETWORKS.items()}


LIGHT = Theme(background="#ffffff", ink="#1f2429", faint="#5c6670", grid="#e3e6e9", dark=False)
DARK = Theme(background="#15181c", ink="#e6e8ea", faint="#9aa4ae", grid="#2d3238", dark=True)


def png(draw: Callable[[Theme], Figure]) -> bytes:
    """Returns the figure that `draw` makes for a light background as PNG."""
    with matplotlib.rc_context(_settings(LIGHT)):
        return _save(draw(LIGHT), format="png", dpi=PIXELS_PER_INCH, metadata={"Software": None})


def svg(draw: Callable[[Theme], Figure], theme: Theme) -> str:
    """Returns the figure that `draw` makes as SVG: transparent background, text in the reader's system font."""
    with matplotlib.rc_context(_settings(theme)):
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        text = _save(draw(theme), format="svg", transparent=True, metadata=no_metadata).decode("utf-8")
    text = re.sub(r"(font: [^;\"]*?px )[^;\"]*", r"\1system-ui, 'Segoe UI', Roboto, sans-serif", text)
    return text[text.index("<svg") :]


def paper(draw: Callable[[Theme], Figure], subject: str) -> dict[str, bytes]:
    """Returns the figure that `draw` makes for a column of a paper, PAPER_WIDTH wide, as `svg` and `pdf`.

    Args:
        subject: what the figure was made from, for the metadata of the files.
    """
    metadata = {
        "svg": {"Description": subject, "Creator": "petseg", "Date": None},
        "pdf": {"Subject": subject, "Creator": "petseg", "Producer": None, "CreationDate": None},
    }
    settings = _settings(LIGHT) | {"svg.fonttype": "path", "pdf.fonttype": 42, **PAPER_TEXT}
    with matplotlib.rc_context(settings):
        figure = draw(LIGHT)
        width, height = figure.get_size_inches()
        figure.set_size_inches(PAPER_WIDTH, height * PAPER_WIDTH / width)
        figure.draw_without_rendering()  # lays it out
        figure.set_layout_engine("none")
        return {kind: _save(figure, format=kind, metadata=facts) for kind, facts in metadata.items()}


def _save(figure: Figure, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, **options)
    return buffer.getvalue()


def _settings(theme: Theme) -> Any:
    return {
        "figure.facecolor": theme.background,
        "axes.facecolor": theme.background,
        "axes.edgecolor": theme.grid,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.labelcolor": theme.faint,
        **dict.fromkeys(("axes.spines.left", "axes.spines.right", "axes.spines.top", "ytick.left"), False),
        "axes.titlelocation": "left",
        "axes.titlecolor": theme.ink,
        "axes.titlesize": 10,
        "axes.titlepad": 8,
        "font.family": "DejaVu Sans",
        "font.size": 9.5,
        "grid.color": theme.grid,
        "grid.linewidth": 0.8,
        "legend.frameon": False,
        "legend.labelcolor": theme.ink,
        "lines.solid_capstyle": "round",
        "svg.fonttype": "none",
        "svg.hashsalt": "petseg",
        "text.color": theme.ink,
        "text.parse_math": False,  # a breed named a$b$ is not a formula
        "xtick.color": theme.grid,
        "xtick.labelcolor": theme.faint,
        "ytick.color": theme.grid,
        "ytick.labelcolor": theme.faint,
    }
