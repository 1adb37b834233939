"""Measures all images and masks of a data set, in worker processes, with what is known from the cache."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tqdm import tqdm

from petseg.audit import cache
from petseg.audit.facts import Facts, measure
from petseg.audit.samples import Sample
from petseg.runtime import pool

CHUNK = 16  # images that a worker takes at once
SAVE_EVERY = 256  # images; what is measured is saved that often, so that an interrupted audit goes on


@dataclass(frozen=True)
class Scan:
    """The facts of each sample, by name, in the order of the samples.

    Attributes:
        measured: how many of them were not in the cache.
        keys: the cache key of each sample, in order; equal keys are equal files.
    """

    facts: dict[str, Facts]
    keys: tuple[str, ...]
    measured: int


def scan(samples: Sequence[Sample], known: cache.Cache, workers: int) -> Scan:
    """Measures all samples; memory is bounded by a few images per worker and some 5 KB of facts per sample.

    Args:
        samples: of `samples.find`.
        known: facts by content; new ones are added.
        workers: processes, at least 1; with 1, this process does the work.
    """
    with ThreadPoolExecutor(workers) as threads:  # hashing and reading do not hold the interpreter's lock
        hashed = threads.map(cache.key, samples)
        keys = list(tqdm(hashed, "reading files", len(samples), unit=" images", disable=None, leave=False))
    facts = known.read(keys)
    missing = {name: sample for name, sample in zip(keys, samples, strict=True) if name not in facts}
    with pool.in_order(measure, list(missing.values()), workers, CHUNK) as results:
        fresh: list[tuple[str, Facts]] = []
        bar = tqdm(results, "measuring", len(missing), unit=" images", disable=None, leave=False)
        for name, measured in zip(missing, bar, strict=True):
            facts[name] = measured
            fresh.append((name, measured))
            if len(fresh) == SAVE_EVERY:
                known.write(fresh)
                fresh = []
        known.write(fresh)
    by_name = {sample.name: facts[name] for name, sample in zip(keys, samples, strict=True)}
    return Scan(by_name, tuple(keys), len(missing))
