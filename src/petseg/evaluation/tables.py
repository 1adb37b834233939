"""The tables of a scored test split: per image, by convention, and of calibration."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from petseg import metrics
from petseg.evaluation import boundary
from petseg.evaluation.regions import BORDERS, counts
from petseg.evaluation.score import Scored

REGION_SCORES = {"dice": metrics.dice, "iou": metrics.iou, "precision": metrics.precision, "recall": metrics.recall}


def region_scores(scored: Scored) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """Returns REGION_SCORES of each image, (N,), by size (network, original) and by border, one of BORDERS."""
    areas = {"network": scored.areas, "original": scored.original_areas}
    return {
        (size, border): {name: score(counts(areas[size], border)).numpy() for name, score in REGION_SCORES.items()}
        for size in areas
        for border in BORDERS
    }


def boundary_scores(scored: Scored) -> dict[str, np.ndarray]:
    """Returns the boundary scores of each image, (N,)."""
    return dict(zip(boundary.SCORES, scored.boundary.T, strict=True))


def main_scores(scored: Scored) -> dict[str, np.ndarray]:
    """Returns the scores of each image that plots/test/scores.csv has, (N,): dice, iou, dice_original, nsd."""
    of_regions = region_scores(scored)
    usual = of_regions["network", "foreground"]
    return {
        "dice": usual["dice"],
        "iou": usual["iou"],
        "dice_original": of_regions["original", "foreground"]["dice"],
        "nsd": boundary_scores(scored)["nsd"],
    }


def per_image(test: pd.DataFrame, scored: Mapping[str, Scored]) -> pd.DataFrame:
    """plots/test/scores.csv: one row per image; the Dice of a network has its name, other scores are NETWORK_SCORE.

    Args:
        test: name, breed and species of the images, in the order of the scores.
        scored: by network.
    """
    columns = {}
    for network, each in scored.items():
        for score, values in main_scores(each).items():
            columns[network if score == "dice" else f"{network}_{score}"] = values
    return test[["name", "breed", "species"]].assign(**columns)


def conventions(scored: Mapping[str, Scored]) -> pd.DataFrame:
    """plots/test/conventions.csv: means over images, by network, size and border; and IoU over all pixels.

    Boundary scores are those at the original size, with the border as foreground.
    """
    rows = []
    for network, each in scored.items():
        for (size, border), scores in region_scores(each).items():
            row: dict[str, object] = {"network": network, "size": size, "border": border}
            row |= {name: values.mean() for name, values in scores.items()}
            pixels = counts(each.areas if size == "network" else each.original_areas, border)
            tp, errors = pixels.tp.sum().item(), (pixels.fp + pixels.fn).sum().item()
            row["iou_dataset"] = tp / (tp + errors) if tp + errors else 1.0
            if (size, border) == ("original", "foreground"):
                row |= {name: values.mean() for name, values in boundary_scores(each).items()}
            rows.append(row)
    return pd.DataFrame(rows)


def calibration(scored: Mapping[str, Scored]) -> pd.DataFrame:
    """plots/test/calibration.csv: scores of the probabilities, before and after the temperature."""
    return pd.DataFrame(
        {"network": network, "state": state, **reliability.scores()}
        for network, each in scored.items()
        for state, reliability in (("raw", each.raw), ("calibrated", each.calibrated))
    )


def reliability(scored: Mapping[str, Scored]) -> pd.DataFrame:
    """plots/test/reliability.csv: probability and share of pet in bins, before and after the temperature."""
    return pd.concat(
        pd.DataFrame({"network": network, "state": state, **reliability.diagram()})
        for network, each in scored.items()
        for state, reliability in (("raw", each.raw), ("calibrated", each.calibrated))
    )


def arrays(names: np.ndarray, scored: Mapping[str, Scored]) -> dict[str, np.ndarray]:
    """data/scores.npz: every score of every image, (N,), under NETWORK/SIZE/BORDER/SCORE; boundary scores under
    NETWORK/SCORE; and the names of the images.
    """
    found = {"name": names}
    for network, each in scored.items():
        for (size, border), scores in region_scores(each).items():
            found |= {f"{network}/{size}/{border}/{name}": values for name, values in scores.items()}
        found |= {f"{network}/{name}": values for name, values in boundary_scores(each).items()}
    return found
