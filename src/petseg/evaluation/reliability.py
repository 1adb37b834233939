"""How well the probabilities of a network agree with how often they are right, over the pixels of many images."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Sums over pixels, from which the scores follow. Those of disjoint sets of pixels can be added.

    Attributes:
        pixels, probability, pets: (BINS,) for BINS equal intervals of the predicted probability of pet: number of
            pixels, sum of their probabilities, and number of pet pixels.
        brier: sum of squared differences of probability and truth.
        nll: sum of negative log-likelihoods.
    """

    pixels: np.ndarray
    probability: np.ndarray
    pets: np.ndarray
    brier: float
    nll: float

    @classmethod
    def measure(cls, logits: np.ndarray, truth: np.ndarray) -> "Reliability":
        """Measures float logits and bool truths of one shape; the probability of pet is sigmoid(logit)."""
        x, y = logits.ravel(), truth.ravel()
        p = expit(x)
        bins = np.minimum((p * BINS).astype(np.intp), BINS - 1)
        pixels, probability, pets = (np.bincount(bins, weights, BINS) for weights in (None, p, y))
        nll = np.logaddexp(0, np.where(y, -x, x)).sum(dtype=np.float64)
        return cls(pixels, probability, pets, float(np.square(p - y).sum(dtype=np.float64)), float(nll))

    def __add__(self, other: "Reliability") -> "Reliability":
        return Reliability(*(getattr(self, key) + getattr(other, key) for key in vars(self)))

    def scores(self) -> dict[str, float]:
        """Returns means over pixels.

        - ece: expected calibration error (Naeini et al. 2015), of the probability of pet: the difference between
          mean probability and share of pet in each bin, weighted by its pixels. Guo et al. (2017) bin the confidence
          in the predicted class instead; for two classes that merges bins p and 1 - p.
        - brier: Brier score (Brier 1950).
        - nll: negative log-likelihood, in nats.
        """
        total = self.pixels.sum()
        ece = np.abs(self.probability - self.pets).sum() / total
        return {"ece": float(ece), "brier": self.brier / total, "nll": self.nll / total}

    def diagram(self) -> dict[str, np.ndarray]:
        """Returns mean probability (`confidence`), share of pet (`accuracy`) and share of the pixels, by bin.

        Bins without pixels are left out.
        """
        used = self.pixels > 0
        pixels = self.pixels[used]
        return {
            "confidence": self.probability[used] / pixels,
            "accuracy": self.pets[used] / pixels,
            "share": pixels / self.pixels.sum(),
        }
