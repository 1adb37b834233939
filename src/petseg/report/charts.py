"""The charts: scores, their differences, their distribution, calibration and training curves.

Each function returns a Figure, without pyplot.
"""

import math
from typing import Any

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


def forest(test: pd.DataFrame, scores: dict[str, dict[str, float]], theme: Theme) -> Figure:
    """Draws each network's mean Dice with its interval, and the paired difference of two networks on its own axis.

    Args:
        test: each network's Dice, one row per image.
        scores: metrics/test.json: dice, and dice_low and dice_high if there are enough images.
    """
    two, rows = len(NETWORKS) == 2, len(NETWORKS)
    figure = Figure(figsize=(WIDTH, 0.75 + 0.3 * rows + 0.9 * two), layout="constrained")
    upper, *lower = figure.subplots(1 + two, 1, height_ratios=[rows, 1][: 1 + two], squeeze=False)[:, 0]
    for row, name in enumerate(NETWORKS):
        own = scores[name]
        ends = own.get("dice_low", math.nan), own.get("dice_high", math.nan)
        _interval(upper, row, own["dice"], ends, f"{own['dice']:.4f}", theme.networks[name])
        upper.axhline(row, color=theme.grid, lw=0.8, zorder=0)
    upper.set_yticks(range(rows), [network.label for network in NETWORKS.values()])
    upper.set(ylim=(rows - 0.5, -0.5), xlabel="test Dice")
    for axes in lower:
        first, second = NETWORKS
        found = paired.difference(test[first].to_numpy(float), test[second].to_numpy(float))
        color = theme.networks[first if found.mean > 0 else second]
        _interval(axes, 0, found.mean, (found.low, found.high), f"{found.mean:+.4f}", color)
        axes.axvline(0, color=theme.faint, lw=1)
        axes.set_yticks([0], ["difference"])
        axes.set(ylim=(0.5, -0.5), xlabel=f"{NETWORKS[first].label} minus {NETWORKS[second].label}, paired")
    for axes in (upper, *lower):
        axes.tick_params(axis="y", labelcolor=theme.ink)
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.08)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    return figure


def _interval(axes: Axes, row: int, mean: float, ends: tuple[float, float], text: str, color: str) -> None:
    """Draws a mean with its interval, and its number at the right edge; no interval if an end is NaN."""
    if not math.isnan(ends[0]):
        axes.plot(ends, [row, row], color=color, lw=2.2)
    axes.plot([mean], [row], "o", color=color, ms=7)
    axes.text(1.02, row, text, transform=axes.get_yaxis_transform(), va="center", fontweight="bold")


def differences(test: pd.DataFrame, theme: Theme, most: int = 5) -> Figure:
    """Draws the paired difference of the two networks' Dice: over all images, by species, and of some breeds.

    These are the `most` breeds at either end of the order of differences. Breeds with few images are merged. Bars are
    95 % intervals of the paired t-test; fewer than MIN_IMAGES images have none.

    Args:
        test: columns species and breed, and each network's Dice; one row per image.
    """
    first, second = NETWORKS
    rows = _difference_rows(test, most)
    figure = Figure(figsize=(WIDTH, 1.0 + 0.24 * len(rows)), layout="constrained")
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


def _difference_rows(test: pd.DataFrame, most: int) -> list[tuple[str, Difference, bool]]:
    """Returns label, difference and whether it is bold, from top to bottom: all, the species, then breeds."""
    scores = [test[name].to_numpy(float) for name in NETWORKS]

    def compare(column: str, others: str) -> list[tuple[str, Difference]]:
        found = paired.groups(test[column].tolist(), *scores, others=others)
        return [(_label(name, each.images), each) for name, each in found.items() if each.images < len(test)]

    whole = paired.difference(*scores)
    rows = [(_label("all", len(test)), whole), *compare("species", "other species")]
    breeds = compare("breed", "other breeds" if (test["breed"].value_counts() >= paired.FEW).any() else "all breeds")
    shown = breeds if len(breeds) <= 2 * most else [*breeds[:most], *breeds[-most:]]
    return [(*row, True) for row in rows] + [(*row, False) for row in shown]


def _label(name: str, images: int) -> str:
    return f"{name.replace('_', ' ')} ({images})"


def pairs(test: pd.DataFrame, theme: Theme) -> Figure:
    """Draws each image's Dice with the first network against that with the second, and the line where they are equal.

    Args:
        test: each network's Dice, one row per image.
    """
    first, second = NETWORKS
    figure = Figure(figsize=(WIDTH, WIDTH), layout="constrained")
    axes = figure.add_subplot(xlabel=f"Dice of {NETWORKS[first].label}", ylabel=f"Dice of {NETWORKS[second].label}")
    low = math.floor(min(0.95, float(test[[first, second]].to_numpy().min())) * 20) / 20
    axes.plot([low, 1], [low, 1], color=theme.faint, lw=1)
    alpha = float(np.clip(100 / len(test), 0.25, 0.8))
    for better, worse in ((first, second), (second, first)):
        shown = test[test[better] >= test[worse]]
        axes.plot(shown[first], shown[second], "o", ms=4.5, mew=0, color=theme.networks[better], alpha=alpha)
        x, y, ha, va = (0.97, 0.03, "right", "bottom") if better == first else (0.03, 0.97, "left", "top")
        share = paired.difference(test[better].to_numpy(float), test[worse].to_numpy(float)).better
        text = f"{NETWORKS[better].label} better: {share:.0%}"
        axes.text(x, y, text, transform=axes.transAxes, color=theme.networks[better], ha=ha, va=va, fontweight="bold")
    axes.set(xlim=(low, 1.003), ylim=(low, 1.003), aspect="equal")
    return figure


def reliability(bins: pd.DataFrame, theme: Theme) -> Figure:
    """Draws how often pixels are foreground against their probability: raw solid, calibrated dashed.

    Args:
        bins: plots/test/reliability.csv: network, state, confidence, accuracy and share of each bin.
    """
    figure = Figure(figsize=(WIDTH, WIDTH), layout="constrained")
    axes = figure.add_subplot(xlabel="probability of foreground", ylabel="share of pixels that are foreground")
    axes.plot([0, 1], [0, 1], color=theme.faint, lw=1)
    groups: Any = bins.groupby(["network", "state"])
    for (name, state), rows in groups:
        style = "--" if state == "calibrated" else "-"
        axes.plot(rows["confidence"], rows["accuracy"], f"o{style}", ms=3, lw=1.4, color=theme.networks[name])
    for label, style in (("raw", "-"), ("calibrated", "--")):
        axes.plot([], [], color=theme.faint, ls=style, label=label)
    axes.legend(loc="upper left", handlelength=2.6)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    _network_legend(figure, axes, theme)
    return figure


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
