"""All finished experiments and the commit to compare them with: parameters, scores and seconds of training."""

import json
from dataclasses import dataclass, field
from typing import Any

from petseg.config.networks import NETWORKS
from petseg.config.overrides import flatten
from petseg.experiments import lock, results, revisions
from petseg.experiments.results import LOCK, PARAMS, TEST, Result
from petseg.experiments.revisions import Experiment, Revision
from petseg.runtime.errors import PetsegError

SEED = "seed"  # experiments that differ in this parameter alone are repetitions of each other
_TRAINED = {name: f"metrics/train_{name}.json" for name in NETWORKS}


@dataclass(frozen=True)
class Entry:
    """One experiment, or the commit HEAD.

    Attributes:
        name: of the experiment, or of the branch.
        baseline: the commit that the experiment started from.
        params: by dotted key.
        scores: of test and training, by network and score, such as `unet.dice` and `unet.valid_dice`.
        seconds: of the training of each network, where DVC's cache has them.
        changes: the parameters that differ from HEAD; also `code` and `data`, True if they differ.
        same: equal for repetitions, which differ in the seed alone.
    """

    name: str
    sha: str
    baseline: str
    params: dict[str, Any]
    scores: dict[str, float]
    seconds: dict[str, float]
    changes: dict[str, Any] = field(default_factory=dict)
    same: str = ""

    @property
    def total_seconds(self) -> float | None:
        """Seconds of training of all networks; None if one is unknown."""
        return sum(self.seconds.values()) if len(self.seconds) == len(NETWORKS) else None


def collect() -> tuple[list[Entry], list[str]]:
    """Returns HEAD, if it has results, and all finished experiments, oldest first; and a sentence for each problem.

    Raises:
        PetsegError: outside a repository, or HEAD has no params.yaml.
    """
    head = revisions.resolve("HEAD")[0].sha
    branch = revisions.git("rev-parse", "--abbrev-ref", "HEAD").strip()
    start = Experiment(head[:7] if branch == "HEAD" else branch, head, head)
    listed = [start, *revisions.experiments()]
    loaded = results.load([Revision(each.name, each.sha) for each in listed], [PARAMS, LOCK, TEST, *_TRAINED.values()])
    reference, locks = loaded[0].params, [lock.parse(each.texts[LOCK] or "") for each in loaded]
    entries, problems = (
        [],
        [f"Queued experiment {name} failed: see `dvc queue logs {name}`." for name in revisions.failed()],
    )
    for experiment, result, own in zip(listed, loaded, locks, strict=True):
        try:
            entries.append(_entry(experiment, result, own, reference, locks[0]))
        except PetsegError as error:
            problems.append(f"Left out: {error}")
    return entries, problems


def _entry(experiment: Experiment, result: Result, own: lock.Lock, reference: dict[str, Any], base: lock.Lock) -> Entry:
    params, name = result.params, experiment.name
    if not own.is_current("evaluate"):
        raise PetsegError(f"{name} has the scores of other networks than it trained, since not all stages were run.")
    changes = {key: new for key, (old, new) in results.differences(reference, params).items()}
    if own.deps and base.deps:
        changes |= {"code": True} if own.code() != base.code() else {}
        raw = {each.outputs.get("data/raw") for each in (own, base)}
        changes |= {"data": True} if len(raw) > 1 and not any(key.startswith("data.") for key in changes) else {}
    fixed = {key: value for key, value in params.items() if key != SEED}
    same = json.dumps([fixed, own.code(), own.outputs.get("data/raw")], sort_keys=True, default=str)
    return Entry(name, experiment.sha, experiment.baseline, params, _scores(result), _seconds(own), changes, same)


def _scores(result: Result) -> dict[str, float]:
    """The numbers of metrics/*.json; raises PetsegError without test scores or if a file is damaged."""
    texts = [result.texts[path] for path in (TEST, *_TRAINED.values())]
    if texts[0] is None:
        raise PetsegError(f"{result.revision.name} has no {TEST}, since the stage evaluate was not run.")
    found = {}
    for path, text in zip((TEST, *_TRAINED.values()), texts, strict=True):
        try:
            found |= flatten(json.loads(text or "{}"))
        except (ValueError, AttributeError):
            raise PetsegError(f"{result.revision.name}:{path} is not a JSON file of scores.") from None
    return {key: value for key, value in found.items() if isinstance(value, (int, float))}


def _seconds(own: lock.Lock) -> dict[str, float]:
    outputs, found = own.outputs, {}
    for name in NETWORKS:
        facts = lock.run_facts(outputs, f"models/{name}.run.json")
        if isinstance(facts.get("seconds"), (int, float)):
            found[name] = facts["seconds"]
    return found
