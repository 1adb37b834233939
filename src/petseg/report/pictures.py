"""The two figures made of test images: the samples, and each network's best, median and worst."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from petseg.config.networks import NETWORKS
from petseg.report.inputs import LABELS
from petseg.report.selection import RANKS
from petseg.report.theme import Theme
from petseg.report.tiles import FALSE_NEGATIVE, FALSE_POSITIVE, Picture, mask_tile, photo_tile

SIDE = 1.1  # inches of a tile


def samples(pictures: Sequence[Picture], theme: Theme) -> Figure:
    """The reports' picture: rows are image, truth and each network; a column is a test image."""
    rows = ("image", "truth", *NETWORKS)
    figure = Figure(figsize=(0.5 + 1.06 * SIDE * len(pictures), 0.75 + 1.2 * SIDE * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(pictures), squeeze=False)
    for column, picture in enumerate(pictures):
        grid[0, column].set_title(picture.breed.replace("_", " "), loc="center", fontsize=9)
        for row, what in enumerate(rows):
            _show(grid[row, column], tile_of(picture, what))
            if what in NETWORKS:
                grid[row, column].set_xlabel(f"Dice {picture.dice[what]:.3f}", fontsize=8.5)
    for row, what in enumerate(rows):
        grid[row, 0].set_ylabel(LABELS.get(what, what), color=theme.networks.get(what, theme.ink), fontsize=9.5)
    _error_legend(figure)
    return figure


def extremes(pictures: dict[str, dict[str, Picture]], theme: Theme) -> Figure:
    """A network's best, median and worst image side by side with its mask; a row is a network.

    Args:
        pictures: by network, then by rank.
    """
    figure = Figure(figsize=(0.5 + 1.12 * SIDE * 6, 0.75 + 1.3 * SIDE * len(pictures)), layout="constrained")
    # A narrow empty column after each pair of tiles keeps the pairs together.
    grid = figure.add_gridspec(len(pictures), 3 * len(RANKS), width_ratios=[1, 1, 0.12] * len(RANKS))
    for row, (name, ranked) in enumerate(pictures.items()):
        for place, rank in enumerate(RANKS):
            picture = ranked[rank]
            image, mask = (figure.add_subplot(grid[row, 3 * place + side]) for side in (0, 1))
            if place == 0:
                image.set_ylabel(LABELS[name], color=theme.networks[name], fontsize=9.5)
            _show(image, tile_of(picture, "image"))
            _show(mask, tile_of(picture, name))
            image.set_title(rank, loc="left", fontsize=9.5)
            image.set_xlabel(picture.breed.replace("_", " "), fontsize=8)
            mask.set_xlabel(f"Dice {picture.dice[name]:.3f}", fontsize=8.5)
    _error_legend(figure)
    return figure


def tile_of(picture: Picture, what: str) -> np.ndarray:
    """The tile `image`, `truth` or a network's mask of a picture: uint8 (TILE, TILE, 3)."""
    if what == "image":
        return photo_tile(picture.image)
    mask = picture.truth if what == "truth" else picture.masks[what]
    return mask_tile(picture.image, picture.truth, mask)


def _show(axes: Axes, tile: np.ndarray) -> None:
    axes.imshow(tile, interpolation="antialiased")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _error_legend(figure: Figure) -> None:
    colours = [tuple(value / 255 for value in colour) for colour in (FALSE_POSITIVE, FALSE_NEGATIVE)]
    meanings = ("background taken for pet", "pet that was missed")
    handles = [Patch(color=colour, label=meaning) for colour, meaning in zip(colours, meanings, strict=True)]
    figure.legend(handles=handles, loc="outside lower left", ncols=2, fontsize=8.5)
