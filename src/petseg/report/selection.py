"""Which test images are shown: by a rule, so that nobody picks them."""

import pandas as pd

SAMPLE_RULE = (
    "The test images, sorted by species, breed and name, are cut into five equal parts; the middle image of each part "
    "is shown, whatever its score."
)
RANKS = ("best", "median", "worst")


def sample_rows(test: pd.DataFrame, count: int = 5) -> list[int]:
    """Row numbers of the samples by SAMPLE_RULE; all rows where there are no more than `count`.

    Args:
        test: columns species, breed and name; its index numbers the rows.
    """
    order = test.sort_values(["species", "breed", "name"], kind="stable").index
    count = min(count, len(order))
    return [int(order[(2 * part + 1) * len(order) // (2 * count)]) for part in range(count)]


def extreme_rows(test: pd.DataFrame, network: str) -> dict[str, int]:
    """Row numbers of the images with `network`'s best, median and worst Dice; equal scores go by name."""
    order = test.sort_values([network, "name"], ascending=[False, True], kind="stable").index
    return {"best": int(order[0]), "median": int(order[len(order) // 2]), "worst": int(order[-1])}
