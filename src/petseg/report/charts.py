"""The charts: training curves, Dice by breed, distribution of Dice. Each function returns a Figure, without pyplot."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from petseg.config.networks import NETWORKS
from petseg.evaluation import paired
from petseg.evaluation.paired import Difference
from petseg.report.theme import Theme

WIDTH = 5.0  # inches: text of 9.5 points stays legible where a phone shrinks the chart to 360 pixels
SPLITS = {"train": ("training", "-", 1.3), "valid": ("validation", (0, (4, 1.8)), 1.8)}  # label, line style, width


def curves(tables: dict[str, pd.DataFrame], kept: dict[str, int], quantity: str, title: str, theme: Theme) -> Figure:
    """Draws `quantity` (`dice` or `loss`) over the epochs: train solid, valid dashed, a dot at the epoch that is kept.

    Args:
        tables: plots/train/NAME.csv by network.
        kept: by network, the epoch whose weights are kept, from 1.
    """
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel="epoch")
    for name, table in tables.items():
        color, epochs = theme.networks[name], table["epoch"]
        marker = "o" if len(table) == 1 else ""  # a line needs two epochs
        for split, (_, style, width) in SPLITS.items():
            (line,) = axes.plot(epochs, table[f"{split}_{quantity}"], color=color, ls=style, lw=width)
            line.set(marker=marker, mfc="none", label=f"_{name} {split}")  # the underscore keeps it out of the legend
        best = table.loc[epochs == kept[name], f"valid_{quantity}"]
        axes.plot([kept[name]], best, "o", color=color, ms=6, mec=theme.background, mew=1.2, label=f"_{name} kept")
    for label, style, width in SPLITS.values():
        axes.plot([], [], color=theme.faint, ls=style, lw=width, label=label)
    axes.legend(loc="lower right" if quantity == "dice" else "upper right", handlelength=2.6)
    axes.xaxis.set_major_locator(_integer_ticks())
    axes.margins(x=0.02)
    _network_legend(figure, axes, theme)
    return figure


def breeds(test: pd.DataFrame, theme: Theme) -> Figure:
    """Draws each breed's mean Dice with each network, by species and from the easiest breed to the hardest.

    Bars show one standard error of the mean (s / sqrt(n)) on either side; a single image has none.

    Args:
        test: columns species and breed, and each network's Dice; one row per image.
    """
    rows = _breed_rows(test)
    height = 0.11 + 0.07 * max(2, len(NETWORKS))  # inches per breed
    figure = Figure(figsize=(WIDTH, 1.2 + height * len(rows)), layout="constrained")
    axes = figure.add_subplot(xlabel="Dice, mean over images")
    for place, name in enumerate(NETWORKS):
        color, offset = theme.networks[name], (place - (len(NETWORKS) - 1) / 2) * 0.07 / height
        for row, (_, scores) in enumerate(rows):
            if scores is not None:
                bar = {"xerr": scores[name].sem(), "elinewidth": 1.8, "ecolor": (color, 0.45)}
                axes.errorbar(scores[name].mean(), row + offset, fmt="o", color=color, ms=5, **bar)
    axes.set_yticks(range(len(rows)), [label for label, _ in rows])
    for label, (_, scores) in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_color(theme.ink)
        label.set_fontweight("bold" if scores is None else "normal")
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.set_xlim(right=max(1.0, axes.get_xlim()[1]))
    _network_legend(figure, axes, theme, top=True)  # the chart is longer than a screen
    return figure


def differences(test: pd.DataFrame, theme: Theme) -> Figure:
    """Draws the paired difference of the two networks' Dice, over all images, by species and by breed.

    Bars are 95 % intervals of the paired t-test; fewer than MIN_IMAGES images have none. Breeds are in the order of
    their difference, the first network's best above.

    Args:
        test: columns species and breed, and each network's Dice; one row per image.
    """
    first, second = NETWORKS
    rows = _difference_rows(test)
    figure = Figure(figsize=(WIDTH, 1.2 + 0.22 * len(rows)), layout="constrained")
    axes = figure.add_subplot(xlabel=f"Dice of {NETWORKS[first].label} minus Dice of {NETWORKS[second].label}")
    axes.axvline(0, color=theme.faint, lw=1)
    for row, (_, found, bold) in enumerate(rows):
        color = theme.networks[first if found.mean > 0 else second]
        if not math.isnan(found.low):
            axes.plot([found.low, found.high], [row, row], color=color, lw=1.8, alpha=0.6)
        axes.plot([found.mean], [row], "D" if bold else "o", color=color, ms=5)
    axes.set_yticks(range(len(rows)), [label for label, _, _ in rows])
    for label, (_, _, bold) in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_color(theme.ink)
        label.set_fontweight("bold" if bold else "normal")
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    return figure


def _difference_rows(test: pd.DataFrame) -> list[tuple[str, Difference, bool]]:
    """Returns label, difference and whether it is a sum, from top to bottom: all, then each species with its breeds."""
    rows = [_difference_row("all", test, True)]
    for species, of_species in test.groupby("species"):
        rows.append(_difference_row(str(species), of_species, True))
        groups = [_difference_row(str(breed), scores, False) for breed, scores in of_species.groupby("breed")]
        rows += sorted(groups, key=lambda row: (-row[1].mean, row[0]))
    return rows


def _difference_row(name: str, scores: pd.DataFrame, bold: bool) -> tuple[str, Difference, bool]:
    first, second = (scores[network].to_numpy(float) for network in NETWORKS)
    return f"{name.replace('_', ' ')} ({len(scores)})", paired.difference(first, second), bold


def distribution(test: pd.DataFrame, theme: Theme) -> Figure:
    """Draws a histogram of the images' Dice with each network, in bins of 0.02; dotted lines are the medians."""
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = figure.add_subplot(title="Distribution of Dice over the test images", xlabel="Dice", ylabel="images")
    lowest = test[list(NETWORKS)].to_numpy().min()
    edges = np.arange(np.floor(min(lowest, 0.9) * 50), 51) / 50
    for name in NETWORKS:
        color = theme.networks[name]
        axes.hist(test[name], bins=edges, histtype="stepfilled", color=color, alpha=0.18)
        axes.hist(test[name], bins=edges, histtype="step", color=color, lw=1.6)
        axes.axvline(float(np.median(test[name])), color=color, lw=1.4, ls=(0, (1, 1.2)))
    axes.yaxis.set_major_locator(_integer_ticks())
    axes.grid(axis="x", visible=False)
    axes.set_xlim(edges[0], 1.0)
    _network_legend(figure, axes, theme)
    return figure


def _breed_rows(test: pd.DataFrame) -> list[tuple[str, pd.DataFrame | None]]:
    """Returns label and scores of each row from top to bottom; the heading of a species has no scores."""
    rows: list[tuple[str, pd.DataFrame | None]] = []
    for species, of_species in test.groupby("species"):
        rows.append((f"{species} ({len(of_species)})", None))
        groups = [(str(breed), scores) for breed, scores in of_species.groupby("breed")]
        groups.sort(key=lambda group: (-group[1][list(NETWORKS)].to_numpy().mean(), group[0]))
        rows.extend((f"{breed.replace('_', ' ')} ({len(scores)})", scores) for breed, scores in groups)
    return rows


def _integer_ticks() -> MaxNLocator:
    return MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)


def _network_legend(figure: Figure, axes: Axes, theme: Theme, top: bool = False) -> None:
    keys = [axes.plot([], [], color=theme.networks[name], label=f"_{name}", lw=2.4)[0] for name in NETWORKS]
    labels = [network.label for network in NETWORKS.values()]
    figure.legend(keys, labels, loc="outside upper left" if top else "outside lower left", ncols=min(3, len(labels)))
