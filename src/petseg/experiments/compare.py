"""Paired comparison of two sides: experiments, commits or recipes, or the two networks of the workspace."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from petseg.config.networks import NETWORKS
from petseg.config.overrides import DEFAULT, flatten, read, recipe_names, recipe_path
from petseg.evaluation import paired, power
from petseg.evaluation.paired import Difference
from petseg.experiments import lock, results, revisions
from petseg.experiments.results import LOCK, PARAMS, SCORES, Result
from petseg.experiments.revisions import Revision
from petseg.runtime.errors import PetsegError

OF_NETWORK_SIZE = ("dice", "iou")  # scores at image_size; the others are at the original size of each image
SCORE_NAMES = (*OF_NETWORK_SIZE, "dice_original", "nsd")
SMALL = 0.002  # the difference whose number of seeds is told
WORKSPACE = "workspace"


class Side(NamedTuple):
    """One network of one or several results, which differ in their seeds alone."""

    name: str
    network: str
    results: tuple[Result, ...]

    @property
    def label(self) -> str:
        """The network's name for people."""
        return NETWORKS[self.network].label

    def scores(self, score: str) -> np.ndarray:
        """One score of every test image, (seeds, images)."""
        column = self.network if score == "dice" else f"{self.network}_{score}"
        for result in self.results:
            if column not in result.scores:
                raise PetsegError(
                    f"{result.revision.name} has no {score} of each image in {SCORES}; an earlier version of petseg "
                    "wrote it: run it again, or compare dice."
                )
        return np.stack([result.scores[column].to_numpy(float) for result in self.results])


class Group(NamedTuple):
    """The difference on some of the images: all of them, a species, or a breed."""

    kind: str
    name: str
    difference: Difference
    p_holm: float  # corrected for the networks that are compared, or for the breeds


@dataclass(frozen=True)
class Comparison:
    """How two sides differ in one score."""

    first: Side
    second: Side
    score: str
    whole: Difference
    detectable: float
    seeds_needed: int | None
    groups: list[Group] = field(default_factory=list)
    p_holm: float = math.nan

    @property
    def seeds(self) -> tuple[int, int]:
        return len(self.first.results), len(self.second.results)


def find(text: str) -> tuple[Result, ...]:
    """The results that a user names: a commit, branch, experiment, pattern of experiments, recipe, or `workspace`.

    Raises:
        PetsegError: nothing has this name, or the results differ in more than the seed.
    """
    if text == WORKSPACE:
        texts = {path: _read(path) for path in (PARAMS, SCORES, LOCK)}
        return (Result(Revision(WORKSPACE, WORKSPACE), texts),)
    names = {each.name for each in revisions.experiments()}
    if text in recipe_names(Path()) and text not in (*names, DEFAULT):
        found = tuple(_of_recipe(text))
        if not found:
            raise PetsegError(f"No experiment has the values of recipe {text}; `petseg recipe run {text}` makes one.")
    else:
        found = tuple(results.load(revisions.resolve(text), [PARAMS, LOCK, SCORES]))
    for each in found[1:]:
        if different := results.differences(found[0].params, each.params).keys() - {"seed"}:
            raise PetsegError(
                f"{text} names experiments that differ in {', '.join(sorted(different))}, not in the seed alone; name "
                "one of them, or a narrower pattern."
            )
    return found


def _read(path: str) -> str | None:
    return Path(path).read_text(encoding="utf-8") if Path(path).is_file() else None


def _of_recipe(name: str) -> Iterator[Result]:
    """The experiments with all values of a recipe, apart from the seed."""
    values = flatten(read(recipe_path(Path(), name)).values)
    values.pop("seed", None)
    listed = [Revision(each.name, each.sha) for each in revisions.experiments()]
    for result in results.load(listed, [PARAMS, LOCK, SCORES]):
        if result.texts[SCORES] and all(result.params.get(key) == value for key, value in values.items()):
            yield result


def sides(first: str | None, second: str | None, networks: Sequence[str]) -> list[tuple[Side, Side]]:
    """The pairs to compare: of each network A and B; or of the workspace the first two networks."""
    if first is None:
        found = find(WORKSPACE)
        one, other = (networks if len(networks) == 2 else list(NETWORKS))[:2]
        return [(Side(NETWORKS[one].label, one, found), Side(NETWORKS[other].label, other, found))]
    second = second or "HEAD"
    left, right = find(first), find(second)
    return [(Side(first, name, left), Side(second, name, right)) for name in networks or NETWORKS]


def compare(pairs: Sequence[tuple[Side, Side]], score: str) -> list[Comparison]:
    """Compares every pair in one score; p-values are also corrected for their number (Holm 1979).

    Raises:
        PetsegError: the two sides have other test images or another image_size, or lack the score.
    """
    compared = [_compare(first, second, score) for first, second in pairs]
    corrected = paired.holm([each.whole.p for each in compared])
    return [replace(each, p_holm=float(p)) for each, p in zip(compared, corrected, strict=True)]


def _compare(first: Side, second: Side, score: str) -> Comparison:
    _check(first, second, score)
    one, other = first.scores(score), second.scores(score)
    whole = paired.difference(one, other)
    enough = whole.images >= 2
    return Comparison(
        first=first,
        second=second,
        score=score,
        whole=whole,
        detectable=power.detectable(one, other) if enough else math.nan,
        seeds_needed=power.seeds_needed(one, other, SMALL) if enough else None,
        groups=[*_groups("species", first, one, other), *_groups("breed", first, one, other)],
    )


def _check(first: Side, second: Side, score: str) -> None:
    """Raises a PetsegError unless all results are of the same images, and at the same size where that matters."""
    reference, *others = (*first.results, *second.results)
    names = reference.scores["name"].tolist()
    for other in others:
        if other.scores["name"].tolist() != names:
            raise PetsegError(
                f"{reference.revision.name} and {other.revision.name} were scored on different test images "
                f"({len(names)} and {len(other.scores)}); only scores on the same images can be compared."
            )
        sizes = reference.params.get("image_size"), other.params.get("image_size")
        if score in OF_NETWORK_SIZE and sizes[0] != sizes[1]:
            raise PetsegError(
                f"{reference.revision.name} has image_size {sizes[0]}, {other.revision.name} has {sizes[1]}, and "
                f"{score} is scored at that size; compare --score dice_original or nsd."
            )


def _groups(kind: str, side: Side, one: np.ndarray, other: np.ndarray) -> list[Group]:
    """The differences of all species or breeds, with corrected p-values; none if there is a single group."""
    found = paired.groups(side.results[0].scores[kind].tolist(), one, other, "others")
    corrected = paired.holm([each.p for each in found.values()])
    groups = [Group(kind, name, each, float(p)) for (name, each), p in zip(found.items(), corrected, strict=True)]
    return groups if len(groups) > 1 else []


def differ_in(first: Sequence[Result], second: Sequence[Result]) -> list[str]:
    """What differs between two sides, apart from seeds: parameters with their values, code, data, machine."""
    one, other = first[0], second[0]
    changed = results.differences(one.params, other.params)
    found = [f"{key} ({_yaml(a)}, {_yaml(b)})" for key, (a, b) in changed.items() if key != "seed"]
    locks = [lock.parse(each.texts.get(LOCK) or "") for each in (one, other)]
    if all(each.deps for each in locks):
        if locks[0].code() != locks[1].code():
            found.append("code")
        if locks[0].outputs.get("data/raw") != locks[1].outputs.get("data/raw") and "data." not in " ".join(found):
            found.append("data")
        machines = [lock.run_facts(each.outputs, "data/evaluate.run.json").get("device_name") for each in locks]
        if all(machines) and machines[0] != machines[1]:
            found.append(f"processor ({machines[0]}, {machines[1]})")
    return found


def _yaml(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
