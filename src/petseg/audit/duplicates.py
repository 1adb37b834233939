"""Images that occur twice: exactly, or resized, compressed, mirrored, marked or cropped; and how their masks agree."""

import functools
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from petseg.audit import cache, samples, scan, similarity
from petseg.audit.facts import read_photo, read_trimap
from petseg.audit.findings import NOTE, WARNING, Finding, Item, count, verb
from petseg.audit.samples import Sample
from petseg.audit.scan import Scan
from petseg.audit.similarity import Candidate, Match, Matrix
from petseg.data.images import BORDER, PET
from petseg.runtime import pool

BLOCK = 256  # images whose hashes a worker compares with all others at once
PAIRS = 16  # pairs that a worker verifies at once
COPIED = 0.998  # Dice from which a mask was copied with its image and not drawn again; drawn twice, 0.995 was the best
DISAGREE = 0.85  # Dice below which one of the two masks is probably wrong; drawn twice, 0.95 was the worst of mini
CONVENTIONS = {"foreground": "as foreground", "background": "as background", "ignored": "ignored"}  # of the border


@dataclass(frozen=True)
class Pair:
    """Two images of the same photograph.

    Attributes:
        first, second: names, sorted.
        exact: whether all pixels are equal.
        mirrored: whether one is the mirror image of the other.
        correlation: of their details after alignment.
        overlap: share of one that is seen in the other.
        dice: of their two masks where both are seen, by what the border counts as; empty if a mask cannot be used, or
            if both are empty.
    """

    first: str
    second: str
    exact: bool
    mirrored: bool
    correlation: float
    overlap: float
    dice: dict[str, float]

    @property
    def drawn_twice(self) -> bool:
        """Whether the masks are two annotations and not copies of one."""
        return bool(self.dice) and self.dice["foreground"] < COPIED


def find(listed: Sequence[Sample], scanned: Scan, known: cache.Cache, workers: int) -> list[Pair]:
    """Finds all pairs; of images that are exactly equal, the first is paired with each of the others.

    The result is remembered for a set of equal files.
    """
    names = "".join(f"{sample.name} {key}\n" for sample, key in zip(listed, scanned.keys, strict=True))
    set_key = f"pairs {hashlib.sha256(names.encode()).hexdigest()}"
    if (remembered := known.read_list(set_key)) is not None:
        return [Pair(**values) for values in remembered]
    readable = [sample for sample in listed if not scanned.facts[sample.name].image_error]
    equal: dict[str, list[Sample]] = defaultdict(list)
    for sample in readable:
        equal[scanned.facts[sample.name].pixels].append(sample)
    whole = Candidate(0, 0, False, similarity.WINDOWS[0])
    tasks = [(group[0], other, whole, True) for group in equal.values() for other in group[1:]]
    tasks += _search([group[0] for group in equal.values()], scanned, workers)
    usable = frozenset(sample.name for sample in listed if scanned.facts[sample.name].usable)
    with pool.in_order(functools.partial(_verify, usable=usable), tasks, workers, PAIRS) as results:
        bar = tqdm(results, "comparing duplicates", len(tasks), unit=" pairs", disable=None, leave=False)
        pairs = sorted((pair for pair in bar if pair is not None), key=lambda pair: (pair.first, pair.second))
    known.write_list(set_key, [asdict(pair) for pair in pairs])
    return pairs


def find_groups(folder: Path, workers: int) -> list[tuple[str, ...]]:
    """Returns the names of the images in a folder that show the same photograph, see `groups`.

    Raises:
        DataError: as `samples.find`.
    """
    data = samples.find(folder)
    with cache.opened() as known:
        return groups(find(data.samples, scan.scan(data.samples, known, workers), known, workers))


Task = tuple[Sample, Sample, Candidate, bool]  # the last: whether the pixels are known to be equal


def _search(listed: list[Sample], scanned: Scan, workers: int) -> list[Task]:
    """The pairs that may be duplicates, each once, by the tiny pictures."""
    contrasts = [float(scanned.facts[sample.name].thumb.std()) for sample in listed]
    listed = [each for each, contrast in zip(listed, contrasts, strict=True) if contrast >= similarity.FLAT]
    if len(listed) < 2:
        return []
    thumbs = np.stack([scanned.facts[sample.name].thumb for sample in listed])
    whole, windows = similarity.hashes(thumbs)
    compare = functools.partial(similarity.nearest, windows=windows)
    with pool.in_order(compare, list(similarity.blocks(whole, BLOCK)), workers) as results:
        candidates = [each for found in results for each in found if similarity.resemble(each, thumbs)]
    tasks = [(thumbs[each.first], thumbs[each.second], each) for each in candidates]
    with pool.in_order(similarity.align_thumbs, tasks, workers, BLOCK) as results:
        scored = list(zip(results, candidates, strict=True))
    best: dict[tuple[int, ...], tuple[float, Candidate]] = {}
    for correlation, candidate in scored:
        key = tuple(sorted((candidate.first, candidate.second)))
        if correlation >= similarity.THUMBS_AGREE and correlation > best.get(key, (0.0,))[0]:
            best[key] = correlation, candidate
    return [(listed[each.first], listed[each.second], each, False) for _, each in best.values()]


def _verify(task: Task, usable: frozenset[str]) -> Pair | None:
    """Compares two images at a higher resolution; returns the pair if they are the same."""
    first, second, candidate, exact = task
    grays = [_gray(sample) for sample in (first, second)]
    if exact:
        match = Match(1.0, 1.0, np.eye(2, 3, dtype=np.float32))
    else:
        # The resolution of the smaller one: what it does not show cannot be compared.
        side = min(similarity.FINE, *(max(gray.shape) for gray in grays))
        small = [_shrink(gray, side) for gray in grays]
        small[0] = np.ascontiguousarray(small[0][:, ::-1]) if candidate.mirrored else small[0]
        start = similarity.start_matrix(candidate, small[0].shape, small[1].shape)
        match = similarity.align(small[0], small[1], start, 60)
        if not match.same:
            return None
        match = match._replace(matrix=_enlarge(match.matrix, small, grays))
    dice = _dice(first, second, candidate.mirrored, match.matrix) if {first.name, second.name} <= usable else {}
    one, other = sorted((first.name, second.name))
    return Pair(one, other, exact, candidate.mirrored, round(match.correlation, 4), round(match.overlap, 4), dice)


def _gray(sample: Sample) -> np.ndarray:
    """The luminance of an image, rotated as its mask is; uint8 (H, W)."""
    try:
        height, width = read_trimap(sample).shape
    except Exception:  # a finding of its own
        height = width = 0
    return np.asarray(read_photo(sample, (width, height)).convert("L"))


def _shrink(gray: np.ndarray, side: int) -> np.ndarray:
    scale = side / max(gray.shape)
    size = (max(16, round(gray.shape[1] * scale)), max(16, round(gray.shape[0] * scale)))
    return cv2.resize(gray, size, interpolation=cv2.INTER_AREA)


def _enlarge(matrix: Matrix, small: Sequence[np.ndarray], large: Sequence[np.ndarray]) -> Matrix:
    """The same map between the images at original size; the center of pixel i is at i + 0.5."""

    def scaling(source: np.ndarray, target: np.ndarray) -> np.ndarray:
        across, down = target.shape[1] / source.shape[1], target.shape[0] / source.shape[0]
        return np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]])

    full = np.vstack([matrix, [0, 0, 1]])
    return (scaling(small[1], large[1]) @ full @ scaling(large[0], small[0]))[:2].astype(np.float32)


def _dice(first: Sample, second: Sample, mirrored: bool, matrix: Matrix) -> dict[str, float]:
    """The Dice of two masks where both are seen, by what the border counts as; empty if no pet is seen."""
    ours, theirs = read_trimap(first), read_trimap(second)
    if mirrored:
        ours = np.ascontiguousarray(ours[:, ::-1])
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    theirs = cv2.warpAffine(theirs, matrix, (ours.shape[1], ours.shape[0]), flags=flags, borderValue=0)
    seen = theirs > 0
    sure = seen & (ours != BORDER) & (theirs != BORDER)
    masks = {
        "foreground": [np.isin(each, (PET, BORDER)) & seen for each in (ours, theirs)],
        "background": [(each == PET) & seen for each in (ours, theirs)],
        "ignored": [(each == PET) & sure for each in (ours, theirs)],
    }
    sizes = {name: int(pair[0].sum() + pair[1].sum()) for name, pair in masks.items()}
    if not all(sizes.values()):
        return {}
    return {name: round(2 * int((pair[0] & pair[1]).sum()) / sizes[name], 4) for name, pair in masks.items()}


def groups(pairs: Iterable[Pair]) -> list[tuple[str, ...]]:
    """Images that are linked by pairs, sorted; the largest group first."""
    group_of: dict[str, set[str]] = {}
    for pair in pairs:
        merged = group_of.get(pair.first, {pair.first}) | group_of.get(pair.second, {pair.second})
        group_of |= dict.fromkeys(merged, merged)
    distinct = {tuple(sorted(group)) for group in group_of.values()}
    return sorted(distinct, key=lambda group: (-len(group), group))


def findings(listed: Sequence[Sample], pairs: Sequence[Pair]) -> list[Finding]:
    """What the pairs mean for the splits, and for the score that can be reached."""
    split_of = {sample.name: sample.split for sample in listed}
    linked = groups(pairs)
    leaks = [group for group in linked if len({split_of[name] for name in group}) > 1]
    inside = [group for group in linked if group not in leaks]
    found = []
    if leaks:
        sentence = (
            f"{count(leaks, 'photograph')} {verb(leaks, 'is', 'are')} in more than one split, so that images are "
            "tested that were trained on; keep only one copy of each in the lists."
        )
        crossing = [pair for pair in pairs if split_of[pair.first] != split_of[pair.second]]
        numbers = {"groups": len(leaks), "pairs": len(crossing)}
        found.append(Finding("leak", WARNING, sentence, _items(leaks, pairs), numbers))
    if inside:
        sentence = (
            f"{count(inside, 'photograph')} {verb(inside, 'occurs', 'occur')} more than once within a split and so "
            f"{verb(inside, 'counts', 'count')} more than once; one copy of each is enough."
        )
        numbers = {"groups": len(inside), "images": sum(map(len, inside))}
        found.append(Finding("duplicates", NOTE, sentence, _items(inside, pairs), numbers))
    return found + _ceiling(pairs)


def _items(linked: list[tuple[str, ...]], pairs: Sequence[Pair]) -> tuple[Item, ...]:
    """One item for each group, which says whether its images are equal or mirrored."""
    items = []
    for group in linked:
        own = [pair for pair in pairs if pair.first in group]
        words = ["all pixels equal"] if all(pair.exact for pair in own) else []
        words += ["mirrored"] if any(pair.mirrored for pair in own) else []
        items.append(Item(group, "; ".join(words)))
    return tuple(items)


def _ceiling(pairs: Sequence[Pair]) -> list[Finding]:
    """How well two annotations of the same photograph agree, and where they do not."""
    twice = sorted((pair for pair in pairs if pair.drawn_twice), key=lambda pair: pair.dice["foreground"])
    wrong = [pair for pair in twice if pair.dice["foreground"] < DISAGREE]
    twice = [pair for pair in twice if pair not in wrong]
    found = []
    if wrong:
        sentence = (
            f"{count(wrong, 'pair')} of duplicates {verb(wrong, 'has', 'have')} masks that contradict each other (Dice "
            f"below {DISAGREE}); one of the two masks is probably wrong: correct or remove it."
        )
        items = tuple(Item((pair.first, pair.second), f"Dice {pair.dice['foreground']:.3f}") for pair in wrong)
        found.append(Finding("masks-disagree", WARNING, sentence, items, {"pairs": len(wrong)}))
    if not twice:
        return found
    means = {name: round(_mean_over_photographs(twice, name), 4) for name in CONVENTIONS}
    words = ", ".join(f"{means[name]:.3f} with the border {label}" for name, label in CONVENTIONS.items())
    sentence = (
        f"Two masks of the same photograph agree at Dice {words}, as means over {count(groups(twice), 'photograph')}; "
        "a score above that says nothing about a network."
    )
    items = tuple(Item((pair.first, pair.second), f"Dice {pair.dice['foreground']:.3f}") for pair in twice)
    numbers = {"photographs": len(groups(twice)), "pairs": len(twice)} | {
        f"dice_border_{name}": mean for name, mean in means.items()
    }
    return [*found, Finding("annotation-ceiling", NOTE, sentence, items, numbers)]


def _mean_over_photographs(pairs: Sequence[Pair], convention: str) -> float:
    """The mean Dice over groups of duplicates, so that three copies, which make three pairs, count once."""
    means = [np.mean([pair.dice[convention] for pair in pairs if pair.first in group]) for group in groups(pairs)]
    return float(np.mean(means))
