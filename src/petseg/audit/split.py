"""Findings about the split: its sizes, breeds that a split lacks, and images that belong together."""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from petseg.audit.facts import Facts
from petseg.audit.findings import NOTE, WARNING, Finding, Item, count, verb
from petseg.audit.samples import TEST, DataSet, Sample
from petseg.data.layout import UNKNOWN_BREED

FEW = 30  # test images below which a mean says little: with a spread of 0.1 its standard error is about 0.02
BURST = timedelta(seconds=10)  # between two exposures of one camera; in a burst the subject hardly moves


def findings(data: DataSet, facts: dict[str, Facts]) -> list[Finding]:
    """All findings about how a data set is divided."""
    return [*_sizes(data), *_breeds(data), *_prefixes(data), *_bursts(data.samples, facts)]


def _sizes(data: DataSet) -> list[Finding]:
    """Too few test images."""
    tested = len(data.splits.get(TEST, ()))
    if tested >= FEW:
        return []
    number = f"{count(tested, 'image')} {verb(tested, 'is', 'are')}"
    sentence = f"Only {number} for testing; a mean over so few says little, add some."
    return [Finding("few-test-images", NOTE, sentence, (), {"test": tested})]


def _breeds(data: DataSet) -> list[Finding]:
    """Breeds with two or more images that are missing in a split."""
    if data.own:
        return []
    counts = Counter(sample.breed for sample in data.samples)
    missing = {
        name: sorted(counts.keys() - {sample.breed for sample in samples}) for name, samples in data.splits.items()
    }
    pairs = [(breed, split) for split, breeds in missing.items() for breed in breeds if counts[breed] > 1]
    if not pairs:
        return []
    listed = ", ".join(f"{breed} in {split}" for breed, split in pairs[:8]) + (", ..." if len(pairs) > 8 else "")
    sentence = f"Some breeds are missing in a split: {listed}; a breed without test images has no score."
    return [Finding("missing-breeds", NOTE, sentence, (), {"missing": len(pairs)})]


def _prefixes(data: DataSet) -> list[Finding]:
    """Own images of the same name but for the number, such as frames of a film, in several splits."""
    if not data.own:
        return []
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in data.samples:
        groups[sample.breed].append(sample)
    crossing = {
        name: samples
        for name, samples in groups.items()
        if name != UNKNOWN_BREED and len(samples) > 1 and len({sample.split for sample in samples}) > 1
    }
    if len(crossing) < 2:  # one name for all images says nothing
        return []
    items = tuple(Item(tuple(each.name for each in samples), name) for name, samples in sorted(crossing.items()))
    sentence = (
        f"{count(crossing, 'name')} such as {min(crossing)} {verb(crossing, 'occurs', 'occur')} with several numbers "
        "in more than one split; if these are pictures of the same animal or scene, keep them together by "
        "trainval.txt and test.txt."
    )
    return [Finding("names-cross-splits", NOTE, sentence, items, {"names": len(crossing)})]


def _bursts(samples: Sequence[Sample], facts: dict[str, Facts]) -> list[Finding]:
    """Images that one camera took within seconds, in several splits."""
    crossing = [burst for burst in _series(samples, facts) if len({sample.split for sample in burst}) > 1]
    if not crossing:
        return []
    items = [Item(tuple(sample.name for sample in burst)) for burst in crossing]
    sentence = (
        f"{count(items, 'burst')} of photographs that one camera took within {BURST.seconds} seconds "
        f"{verb(items, 'is', 'are')} in more than one split; keep each in one split."
    )
    return [Finding("burst-crosses-splits", WARNING, sentence, tuple(items), {"bursts": len(items)})]


def _series(samples: Sequence[Sample], facts: dict[str, Facts]) -> list[list[Sample]]:
    """Photographs of one camera, in series without a longer pause than BURST."""
    shots = []
    for sample in samples:
        camera, _, second = facts[sample.name].taken.rpartition("|")
        with contextlib.suppress(ValueError):  # unknown, or not a time
            shots.append((camera, datetime.strptime(second, "%Y:%m:%d %H:%M:%S"), sample))
    shots.sort(key=lambda shot: (shot[0], shot[1], shot[2].name))
    series: list[list[Sample]] = []
    for i, (camera, second, sample) in enumerate(shots):
        if i == 0 or camera != shots[i - 1][0] or second - shots[i - 1][1] > BURST:
            series.append([])
        series[-1].append(sample)
    return series
