"""Colours and lettering of all figures, on light and on dark ground, and how a figure becomes bytes.

The same figure gives the same bytes every time: no dates, no versions, no random ids.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib
from matplotlib.figure import Figure

PIXELS_PER_INCH = 150


@dataclass(frozen=True)
class Theme:
    """Colours as #rrggbb; `networks` by name: Okabe and Ito's blue and orange, told apart in every colour blindness."""

    background: str
    ink: str
    faint: str
    grid: str
    networks: dict[str, str]


LIGHT = Theme(
    background="#ffffff",
    ink="#1f2429",
    faint="#5c6670",
    grid="#e3e6e9",
    networks={"unet": "#0072b2", "resnet34_unet": "#d55e00"},
)
DARK = Theme(
    background="#15181c",
    ink="#e6e8ea",
    faint="#9aa4ae",
    grid="#2d3238",
    networks={"unet": "#56b4e9", "resnet34_unet": "#ff9550"},
)


def png(draw: Callable[[Theme], Figure]) -> bytes:
    """What `draw` draws on light ground, as PNG."""
    with matplotlib.rc_context(_settings(LIGHT)):
        return _save(draw(LIGHT), format="png", dpi=PIXELS_PER_INCH, metadata={"Software": None})


def svg(draw: Callable[[Theme], Figure], theme: Theme) -> str:
    """What `draw` draws, as SVG on clear ground, lettered in the reader's own interface font."""
    with matplotlib.rc_context(_settings(theme)):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        text = _save(draw(theme), format="svg", transparent=True, metadata=nothing).decode("utf-8")
    text = re.sub(r"(font: [^;\"]*?px )[^;\"]*", r"\1system-ui, 'Segoe UI', Roboto, sans-serif", text)
    return text[text.index("<svg") :]


def _save(figure: Figure, **options: object) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, **options)
    return buffer.getvalue()


def _settings(theme: Theme) -> dict[str, object]:
    return {
        "figure.facecolor": theme.background,
        "axes.facecolor": theme.background,
        "axes.edgecolor": theme.grid,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.labelcolor": theme.faint,
        "axes.spines.left": False,
        "axes.spines.right": False,
        "axes.spines.top": False,
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
        "text.parse_math": False,  # a breed named a$b$ is no formula
        "xtick.color": theme.grid,
        "xtick.labelcolor": theme.faint,
        "ytick.color": theme.grid,
        "ytick.labelcolor": theme.faint,
        "ytick.left": False,
    }
