"""Scores of images -> figures with intervals."""

import numpy as np
from scipy import stats


def bootstrap_interval(values: np.ndarray, resamples: int, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean (Efron 1979).

    It says how far the mean would move with other images from the same source. It knows nothing of another training
    seed. A single value has no spread: the interval is that value.

    Args:
        values: (N,) one score an image, N >= 1.
        resamples: how often N images are drawn with replacement.
        seed: of the drawing.
    """
    if len(values) == 1 or np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    interval = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, 4_000_000 // len(values)),  # at most 32 MB of draws at once
        confidence_level=0.95,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def summary(scores: dict[str, np.ndarray], resamples: int) -> dict[str, float]:
    """What metrics/test.json holds of one network: means over images to 6 digits, and the interval of the Dice.

    Args:
        scores: dice, iou, precision, recall, dice_original, each (N,).
        resamples: see `bootstrap_interval`.
    """
    low, high = bootstrap_interval(scores["dice"], resamples)
    means = {name: float(values.mean()) for name, values in scores.items()}
    ordered = {"dice": means.pop("dice"), "dice_low": low, "dice_high": high} | means
    return {name: round(value, 6) for name, value in ordered.items()}
