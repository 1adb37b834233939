"""Summary statistics of scores per image."""

import numpy as np
from scipy import stats


def bootstrap_interval(values: np.ndarray, resamples: int, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean (Efron 1979).

    It covers the choice of test images, not the seed of the training. Equal values give an interval of that value.

    Args:
        values: (N,), one score per image, N >= 1.
        resamples: number of resamples of N images, with replacement.
    """
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    interval = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, 4_000_000 // len(values)),  # at most 32 MB at once
        confidence_level=0.95,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def summary(scores: dict[str, np.ndarray], loss: float, resamples: int) -> dict[str, float]:
    """The numbers of one network in metrics/test.json, 6 decimals: means over images, the interval of Dice, the loss.

    Args:
        scores: dice, iou, precision, recall, dice_original, each (N,).
        resamples: see `bootstrap_interval`.
    """
    low, high = bootstrap_interval(scores["dice"], resamples)
    means = {name: values.mean() for name, values in scores.items()}
    numbers = {"dice": means.pop("dice"), "dice_low": low, "dice_high": high} | means | {"loss": loss}
    return {name: round(float(number), 6) for name, number in numbers.items()}
