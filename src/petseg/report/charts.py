"""The charts: training curves, Dice per breed, distribution of Dice; each function returns a Figure, without pyplot."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from petseg.config.networks import NETWORKS
from petseg.report.inputs import LABELS
from petseg.report.theme import Theme

WIDTH = 5.0  # inches: 10-point letters stay legible where a phone shrinks it to 360 pixels


def curves(tables: dict[str, pd.DataFrame], kept: dict[str, int], quantity: str, title: str, theme: Theme) -> Figure:
    """Train (solid) and valid (dashed) of `quantity`, `dice` or `loss`, over the epochs; a dot is the epoch kept.

    Args:
        tables: plots/train/NAME.csv by network.
        kept: the epoch whose weights were kept, from 1, by network.
    """
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel="epoch")
    for name, table in tables.items():
        colour = theme.networks[name]
        for split, style, weight in (("train", "-", 1.3), ("valid", (0, (4, 1.8)), 1.8)):
            (line,) = axes.plot(table["epoch"], table[f"{split}_{quantity}"], ls=style, lw=weight, color=colour)
            line.set_label(f"{LABELS[name]}, {split}")
            if len(table) == 1:  # one epoch makes no line
                line.set(marker="o", markersize=6, markerfacecolor=colour if split == "train" else theme.background)
        if len(table) > 1:
            best = table[f"valid_{quantity}"][kept[name] - 1]
            axes.plot(kept[name], best, "o", color=colour, ms=6, mec=theme.background, mew=1.2)
    axes.xaxis.set_major_locator(_whole_numbers())
    axes.margins(x=0.02)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=2, handlelength=2.6)
    return figure


def breeds(test: pd.DataFrame, theme: Theme) -> Figure:
    """Mean Dice of each breed with both networks, species apart, the hardest breed last.

    A line reaches one standard error of the mean (s / sqrt(n)) to either side; a single image has none.
    """
    rows = _breed_rows(test)
    figure = Figure(figsize=(WIDTH, 1.1 + 0.25 * len(rows)), layout="constrained")
    axes = figure.add_subplot(xlabel="mean Dice")
    for place, (_, scores) in enumerate(rows):
        if scores is not None:
            for name, shift in zip(NETWORKS, (-0.16, 0.16), strict=True):
                colour, mean = theme.networks[name], scores[name].mean()
                if len(scores) > 1:
                    reach = scores[name].sem()
                    axes.plot([mean - reach, mean + reach], [place + shift] * 2, color=colour, lw=1.8, alpha=0.45)
                axes.plot(mean, place + shift, "o", color=colour, ms=5)
    axes.set_yticks(range(len(rows)), [label for label, _ in rows])
    for label, (_, scores) in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_color(theme.ink)
        label.set_fontweight("bold" if scores is None else "normal")
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.set_xlim(right=max(1.0, axes.get_xlim()[1]))
    _network_legend(figure, axes, theme)
    return figure


def distribution(test: pd.DataFrame, theme: Theme) -> Figure:
    """How many test images have which Dice, in steps of 0.02; the upright line is a network's median."""
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = figure.add_subplot(title="Number of test images by their Dice", xlabel="Dice of an image")
    lowest = min(test[name].min() for name in NETWORKS)
    edges = np.arange(np.floor(min(lowest, 0.9) * 50), 51) / 50
    for name in NETWORKS:
        colour = theme.networks[name]
        axes.hist(test[name], bins=edges, histtype="stepfilled", color=colour, alpha=0.18)
        axes.hist(test[name], bins=edges, histtype="step", color=colour, lw=1.6)
        axes.axvline(test[name].median(), color=colour, lw=1.4, ls=(0, (1, 1.2)))
    axes.yaxis.set_major_locator(_whole_numbers())
    axes.grid(axis="x", visible=False)
    axes.set_xlim(edges[0], 1.0)
    _network_legend(figure, axes, theme)
    return figure


def _breed_rows(test: pd.DataFrame) -> list[tuple[str, pd.DataFrame | None]]:
    """Label and scores of each line from top to bottom; a species' heading has no scores."""
    rows: list[tuple[str, pd.DataFrame | None]] = []
    for species, of_species in test.groupby("species"):
        rows.append((f"{species} ({len(of_species)})", None))
        groups = list(of_species.groupby("breed"))
        groups.sort(key=lambda group: (-group[1][list(NETWORKS)].to_numpy().mean(), group[0]))
        rows.extend((f"{breed.replace('_', ' ')} ({len(scores)})", scores) for breed, scores in groups)
    return rows


def _whole_numbers() -> MaxNLocator:
    """Ticks at epochs or counts: 0, 5, 10 or 0, 20, 40, never between two whole numbers."""
    return MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)


def _network_legend(figure: Figure, axes: Axes, theme: Theme) -> None:
    for name in NETWORKS:
        axes.plot([], [], color=theme.networks[name], label=LABELS[name], lw=2.4)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=2)
