"""False alarms and power of comparisons, in simulated experiments; prints a table for compare.md.

    python benchmarks/compare.py plots/test/scores.csv

An experiment takes images from the file, with replacement, with the scores of both networks on them. A side is a
training with several seeds: an image scores as with the first network, plus an effect of the recipe on this image,
plus an effect of the seed on all images, plus an effect of the seed on this image. The effects on an image are sampled
from the real differences between the two networks, which are centered. Without a true difference both sides have
the same expected score; with one, it is what petseg.evaluation.power calls detectable.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from measuring import headline
from petseg.evaluation import paired, power

SETTINGS = (  # seeds of both sides, standard deviation of a seed's effect
    ((1, 1), 0.0),
    ((2, 1), 0.008),
    ((2, 2), 0.002),
    ((2, 2), 0.008),
    ((3, 3), 0.0),
    ((3, 3), 0.002),
    ((3, 3), 0.008),
    ((5, 5), 0.002),
    ((5, 5), 0.008),
    ((3, 1), 0.002),
    ((3, 1), 0.008),
    ((5, 3), 0.008),
)
COLUMNS = ("seeds", "sd of seeds", "images", "false alarms", "detectable difference", "power there", "median estimate")
Sides = tuple[np.ndarray, np.ndarray]


class Simulation:
    """Draws pairs of sides.

    Args:
        scores: (images, 2), of two real networks.
        seeds: of both sides.
        noise: standard deviation over seeds of the mean score.
        images: in each simulated test set.
    """

    def __init__(self, scores: np.ndarray, seeds: tuple[int, int], noise: float, images: int) -> None:
        self.base = scores[:, 0]
        self.effects = scores[:, 1] - scores[:, 0]
        self.effects = self.effects - self.effects.mean()
        self.seeds, self.noise, self.images = seeds, noise, images

    def draw(self, rng: np.random.Generator, change: float = 0.0) -> Sides:
        """Two sides, (seeds, images) each; the first is better by `change`."""
        base = rng.choice(self.base, self.images)
        first, second = (self._side(rng, base, seeds) for seeds in self.seeds)
        return first + change, second

    def _side(self, rng: np.random.Generator, base: np.ndarray, seeds: int) -> np.ndarray:
        recipe = rng.choice(self.effects, self.images)
        seed = self.noise * rng.standard_normal((seeds, 1))
        rest = rng.choice(self.effects, (seeds, self.images)) / 2
        return base + recipe + seed + rest

    def rates(self, count: int, seed: int = 0) -> tuple[float, float, float, float]:
        """Returns what happens in `count` comparisons.

        Returns:
            Share of false alarms; the detectable difference for the expected variances; the share of comparisons that
            find it; and the median of the detectable difference as single comparisons estimate it.
        """
        rng = np.random.default_rng(seed)
        null = [self.draw(rng) for _ in range(count)]
        alarms = np.mean([paired.difference(*sides).is_clear for sides in null])
        parts = np.mean([paired.variances(*sides) for sides in null], axis=0)
        size = power.smallest([(variance, freedom) for variance, freedom in parts])
        found = np.mean([paired.difference(*self.draw(rng, size)).low > 0 for _ in range(count)])
        return float(alarms), size, float(found), float(np.median([power.detectable(*sides) for sides in null]))


def rows(scores: np.ndarray, images: int, count: int) -> Iterator[str]:
    """The rows of the table."""
    for seeds, noise in SETTINGS:
        alarms, size, found, estimate = Simulation(scores, seeds, noise, images).rates(count)
        cells = [f"{seeds[0]} and {seeds[1]}", f"{noise:g}", f"{images}", f"{alarms:.1%}", f"{size:.4f}"]
        yield f"| {' | '.join([*cells, f'{found:.1%}', f'{estimate:.4f}'])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", type=Path, nargs="?", default=Path("plots/test/scores.csv"), help="of test images")
    parser.add_argument("--images", type=int, nargs="+", default=[200], help="images in a simulated test set")
    parser.add_argument("--count", type=int, default=2000, help="comparisons per setting")
    options = parser.parse_args()
    scores = pd.read_csv(options.scores)[["unet", "resnet34_unet"]].to_numpy()
    print(f"{headline()}; {options.count} comparisons per setting\n")
    print(
        "| seeds | sd of seeds | images | false alarms | detectable difference | power there | median estimate of it |"
    )
    print("|---|---|---|---|---|---|---|")
    for images in options.images:
        for row in rows(scores, images, options.count):
            print(row, flush=True)


if __name__ == "__main__":
    main()
