"""Summary statistics of scores per image."""

import numpy as np
from scipy import stats

MIN_IMAGES = 5  # fewer give no interval


def bootstrap_interval(values: np.ndarray, resamples: int, seed: int = 0) -> tuple[float, float] | None:
    """95 % percentile bootstrap interval of the mean (Efron 1979); None for fewer than MIN_IMAGES values.

    It covers the choice of test images, not the seed of the training. Equal values give an interval of that value.

    Args:
        values: (N,), one score per image.
        resamples: number of resamples of N images, with replacement.
    """
    if len(values) < MIN_IMAGES:
        return None
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


def summary(
    scores: dict[str, np.ndarray], has_pet: np.ndarray, others: dict[str, float], resamples: int
) -> dict[str, float]:
    """The numbers of one network in metrics/test.json, 6 decimals: means over images, the interval of Dice, others.

    There is no interval for fewer than MIN_IMAGES images. If some truths are empty, their number is given, and the
    mean Dice over the other images.

    Args:
        scores: dice and others, each (N,).
        has_pet: whether the truth of each image has any pet, (N,) bool.
        others: numbers that are not means over images.
        resamples: see `bootstrap_interval`.
    """
    numbers: dict[str, float] = {"dice": scores["dice"].mean()}
    if interval := bootstrap_interval(scores["dice"], resamples):
        numbers |= dict(zip(("dice_low", "dice_high"), interval, strict=True))
    if not has_pet.all():
        numbers["dice_nonempty"] = scores["dice"][has_pet].mean()
    numbers |= {name: values.mean() for name, values in scores.items() if name != "dice"} | others
    rounded = {name: round(float(number), 6) for name, number in numbers.items()}
    return rounded if has_pet.all() else rounded | {"empty_truths": int(np.sum(~has_pet))}


def constant_prediction(masks: np.ndarray) -> str | None:
    """What is wrong with predictions (N, S, S) bool that are the same for every pixel, as the end of a sentence."""
    if not masks.any():
        return "predicts no pet in any test image; look at its training curves."
    if masks.all():
        return "predicts pet everywhere in every test image; look at its training curves."
    return None
