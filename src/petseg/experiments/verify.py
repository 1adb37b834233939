"""Runs a commit again, in a temporary clone with an empty cache, and compares what it gives with what was committed."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load

from petseg.config.networks import NETWORKS
from petseg.experiments import agreement, collect, lock, query, results, revisions
from petseg.experiments.agreement import DIFFERENT, EQUAL, WITHIN, Tolerance, Verdict
from petseg.experiments.results import LOCK, PARAMS, TEST, Result
from petseg.recipes import run
from petseg.runtime.errors import PetsegError

FACTS = {  # of *.run.json, and their names for people
    "device_name": "processor",
    "precision": "precision",
    "threads": "threads",
    "processes": "processes",
    "python": "python",
    "torch": "torch",
    "numpy": "numpy",
    "albumentations": "albumentations",
}


def verify(text: str) -> bool:
    """Runs a commit or experiment again and prints a line per file; returns whether none is different.

    Needs as much time as the first run, and disk for the data in the folder of temporary files. Nothing in the project
    is changed.

    Raises:
        PetsegError: there is no such commit, it has no results, DVC is not installed, or the run failed.
    """
    [result] = results.load(revisions.resolve(text)[:1], [PARAMS, LOCK, TEST])
    _ = result.test, result.params  # raises an error if it has none
    allowed = _tolerance(result)
    with _clone(result) as folder:
        _run(folder, result)
        old, new = lock.parse(result.texts[LOCK] or ""), lock.parse((folder / LOCK).read_text())
        verdicts = _compare(result, folder, old, new, allowed)
        print(_facts(old, folder), end="\n\n")
        inputs = _other_inputs(old, new)
    print("\n".join(_lines(verdicts)))
    if inputs:
        print(f"Other data than then: {', '.join(inputs)}.")
    name, sha = result.revision
    print(conclusion(f"{name} ({sha[:7]})", verdicts, allowed))
    return all(each.status != DIFFERENT for each in verdicts)


def conclusion(name: str, verdicts: Sequence[Verdict], allowed: Tolerance) -> str:
    """The last line: whether the commit was reproduced, and what the tolerance was."""
    count = {status: sum(each.status == status for each in verdicts) for status in (EQUAL, WITHIN, DIFFERENT)}
    if count[EQUAL] == len(verdicts):
        return f"{name} is reproduced: all {len(verdicts)} files have equal bytes."
    parts = ", ".join(f"{number} {status}" for status, number in count.items() if number)
    stated = f"{allowed.score:.3f} for scores up to 1, {allowed.relative:.0%} for larger numbers"
    verdict = "not reproduced" if count[DIFFERENT] else "reproduced within tolerance"
    return f"{name} is {verdict}: {parts}. The tolerance, from {allowed.source}: {stated}."


def _tolerance(result: Result) -> Tolerance:
    entries, _ = collect.collect()
    return agreement.tolerance(query.fold(entries), result.revision.sha, list(NETWORKS))


@contextmanager
def _clone(result: Result) -> Iterator[Path]:
    """The project in a temporary clone of the repository, at the commit, with an empty cache of its own."""
    top, prefix = (revisions.git("rev-parse", each).strip() for each in ("--show-toplevel", "--show-prefix"))
    with tempfile.TemporaryDirectory(prefix="petseg-verify-") as temporary:
        clone = Path(temporary, "clone")
        revisions.git("clone", "--quiet", "--shared", "--no-checkout", top, str(clone))
        revisions.git("-C", str(clone), "checkout", "--quiet", "--detach", result.revision.sha)
        folder = clone / prefix
        _bring_data(result, folder)
        (folder / ".dvc/config.local").write_text("[cache]\n    dir = cache\n")
        yield folder


def _bring_data(result: Result, folder: Path) -> None:
    """Links the files that the parameters name and git does not have: the user's own images, initial weights."""
    names = [result.params.get(f"{name}.start") for name in NETWORKS]
    names += [result.params.get("data.path")] if result.params.get("data.source") == "folder" else []
    for name in filter(None, names):
        for source in [Path(name), *Path(name).rglob("*")]:
            target = folder / source  # absolute paths stay as they are
            if source.is_file() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(source, target)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def _run(folder: Path, result: Result) -> None:
    command, env = run.dvc()
    outside = {key: value for key, value in env.items() if key != "DVC_ROOT" and not key.startswith("GIT_")}
    repro = [command, "repro", "--force", "--no-run-cache", "--no-commit", "evaluate"]
    sys.stdout.flush()
    if subprocess.run(repro, cwd=folder, env=outside, stdout=sys.stderr).returncode:
        raise PetsegError(f"{result.revision.name} could not be run again, see above.")


def _compare(result: Result, folder: Path, old: lock.Lock, new: lock.Lock, allowed: Tolerance) -> list[Verdict]:
    """Verdicts on metrics, plots and models; the weights are judged by the scores that they give."""
    sha = result.revision.sha
    committed = revisions.git("ls-tree", "-r", "--name-only", sha, "metrics", "plots").splitlines()
    paths = sorted(path for path in committed if path.endswith((".json", ".csv")))
    texts = revisions.read_many([(sha, path) for path in paths])
    found = []
    for path in paths:
        then, now = texts[sha, path], folder / path
        found.append(agreement.compare(path, _encoded(then), now.read_bytes() if now.is_file() else None, allowed))
    scores = next((each.status for each in found if each.path == TEST), DIFFERENT)
    models = [path for path in old.outputs if path.endswith(".safetensors")]
    return found + [_compare_weights(path, old, new, folder, scores) for path in models]


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8")


def _compare_weights(path: str, old: lock.Lock, new: lock.Lock, folder: Path, scores: str) -> Verdict:
    if old.outputs[path] == new.outputs.get(path):
        return Verdict(path, EQUAL)
    then = lock.cached(old.outputs[path])
    if then is not None and (folder / path).is_file() and _equal_weights(then, (folder / path).read_bytes()):
        return Verdict(path, WITHIN, "equal weights, other metadata")
    return Verdict(path, DIFFERENT if scores == DIFFERENT else WITHIN, f"other weights; their scores: {scores}")


def _equal_weights(first: bytes, second: bytes) -> bool:
    try:
        old, new = load(first), load(second)
    except (SafetensorError, ValueError):
        return False
    return old.keys() == new.keys() and all((old[key] == new[key]).all() for key in old)


def _other_inputs(old: lock.Lock, new: lock.Lock) -> list[str]:
    """The folders and tables of data that have other contents than then."""
    before, after = old.outputs, new.outputs
    data = [path for path in before if path.startswith(("data/raw", "data/splits", "data/packed"))]
    return [path for path in data if before[path] != after.get(path)]


def _facts(old: lock.Lock, folder: Path) -> str:
    """What computed the results of both sides, as a table; `unknown` where DVC's cache does not have it."""
    path = next((each for each in old.outputs if each.startswith("models/") and each.endswith(".run.json")), "")
    then, now = lock.run_facts(old.outputs, path), lock.read_facts(folder / path)
    rows = [("", "then", "now")]
    rows += [(label, str(then.get(key, "unknown")), str(now.get(key, "unknown"))) for key, label in FACTS.items()]
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    return "\n".join(f"{name:<{widths[0]}}  {first:<{widths[1]}}  {second}" for name, first, second in rows)


def _lines(verdicts: Sequence[Verdict]) -> list[str]:
    width = max(len(each.path) for each in verdicts)
    return [f"{each.path:<{width}}  {each.status}{f': {each.note}' if each.note else ''}" for each in verdicts]
