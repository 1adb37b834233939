"""The two figures made of test images: the samples, and each network's best, median and worst image."""

from collections.abc import Sequence
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from petseg.config.networks import NETWORKS
from petseg.report.selection import RANKS
from petseg.report.theme import Theme
from petseg.report.tiles import ERRORS, Picture, tile

SIDE = 1.1  # inches per tile


def samples(pictures: Sequence[Picture], theme: Theme) -> Figure:
    """Draws one column per picture: the image, the ground truth, and each network's prediction."""
    labels = {"image": "image", "truth": "ground truth"} | {name: network.label for name, network in NETWORKS.items()}
    size = (0.5 + 1.06 * SIDE * len(pictures), 0.75 + 1.2 * SIDE * len(labels))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(labels), len(pictures), squeeze=False)
    for column, picture in enumerate(pictures):
        grid[0, column].set_title(fill(picture.breed.replace("_", " "), 18), loc="center", fontsize=9)
        for row, what in enumerate(labels):
            _show(grid[row, column], picture, what)
    for row, (what, label) in enumerate(labels.items()):
        grid[row, 0].set_ylabel(label, color=theme.networks.get(what, theme.ink), fontsize=9.5)
    _error_legend(figure)
    return figure


def extremes(pictures: dict[str, dict[str, Picture]], theme: Theme) -> Figure:
    """Draws one row per network: its best, median and worst image, each beside the prediction.

    `pictures` has a dict by rank for each network.
    """
    figure = Figure(figsize=(0.5 + 1.12 * SIDE * 6, 0.75 + 1.3 * SIDE * len(pictures)), layout="constrained")
    # A narrow empty column after each pair of tiles keeps the pairs together.
    grid = figure.add_gridspec(len(pictures), 3 * len(RANKS), width_ratios=[1, 1, 0.12] * len(RANKS))
    for row, (name, ranked) in enumerate(pictures.items()):
        for place, rank in enumerate(RANKS):
            picture = ranked[rank]
            image, mask = (figure.add_subplot(grid[row, 3 * place + side]) for side in (0, 1))
            if place == 0:
                image.set_ylabel(NETWORKS[name].label, color=theme.networks[name], fontsize=9.5)
            _show(image, picture, "image")
            _show(mask, picture, name)
            image.set_title(rank, loc="left", fontsize=9.5)
            image.set_xlabel(picture.breed.replace("_", " "), fontsize=8)
    _error_legend(figure)
    return figure


def _show(axes: Axes, picture: Picture, what: str) -> None:
    """Shows a tile of a picture, and the Dice of a prediction below it."""
    axes.imshow(tile(picture, what), interpolation="antialiased")
    if what in NETWORKS:
        axes.set_xlabel(f"Dice {picture.dice[what]:.3f}", fontsize=8.5)
    axes.set_anchor("S")  # lines up the scores below pictures of different heights
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _error_legend(figure: Figure) -> None:
    handles = [Patch(color=color, label=label) for label, color in ERRORS.items()]
    figure.legend(handles=handles, loc="outside lower left", ncols=2, fontsize=8.5)
