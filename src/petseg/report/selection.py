"""Which test images the report shows: chosen by a fixed rule, not by hand."""

from collections.abc import Sequence

import pandas as pd

SAMPLE_RULE = (
    "Chosen by a fixed rule, not by score: the test images are sorted by species, breed, and name and divided into "
    "five equal parts; the middle image of each part is shown."
)
RANKS = ("best", "median", "worst")


def sample_rows(test: pd.DataFrame, count: int = 5) -> list[int]:
    """Returns the rows of `count` samples, by SAMPLE_RULE; of fewer images, all rows.

    Args:
        test: columns species, breed and name; its index numbers the rows.
    """
    order = test.sort_values(["species", "breed", "name"], kind="stable").index
    count = min(count, len(order))
    return [int(order[(2 * part + 1) * len(order) // (2 * count)]) for part in range(count)]


def extreme_rows(test: pd.DataFrame, network: str) -> dict[str, int]:
    """Returns the rows of the images with the best, median and worst Dice of `network`; ties are broken by name."""
    order = test.sort_values([network, "name"], ascending=[False, True], kind="stable").index
    return dict(zip(RANKS, map(int, (order[0], order[len(order) // 2], order[-1])), strict=True))


def worst_rows(test: pd.DataFrame, networks: Sequence[str], count: int = 12) -> list[int]:
    """Returns the rows of the images on which some network has the lowest Dice, the lowest first."""
    lowest = test[list(networks)].min(axis=1)
    order = test.assign(lowest=lowest).sort_values(["lowest", "name"], kind="stable").index
    return [int(row) for row in order[:count]]
