"""Git repositories with fabricated commits and DVC experiments, as DVC keeps them."""

import hashlib
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from petseg.config.networks import NETWORKS
from petseg.recipes.yaml_edit import edited
from support.paths import COMMITTED, ROOT

Files = Mapping[str, str | None]  # contents by path; None removes the file


def git(folder: Path, *arguments: str, stdin: str | None = None) -> str:
    """What a git command in `folder` prints."""
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, input=stdin, text=True)
    return done.stdout.strip()


def repository(folder: Path, files: Files, experiments: Mapping[str, Files] = {}) -> str:
    """Makes a repository whose branch main has `files`, checked out; returns the hash of that commit.

    Args:
        experiments: by name, the files of each that differ from main; they start from main, the first is the oldest.
    """
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "fast-import", "--quiet", stdin=_commit("refs/heads/main", files, 0))
    git(folder, "reset", "--quiet", "--hard")
    main = git(folder, "rev-parse", "HEAD")
    add(folder, main, experiments)
    return main


def add(folder: Path, baseline: str, experiments: Mapping[str, Files]) -> None:
    """Adds experiments that start from a commit."""
    prefix = f"refs/exps/{baseline[:2]}/{baseline[2:]}"
    commits = [_commit(f"{prefix}/{name}", each, i + 1, baseline) for i, (name, each) in enumerate(experiments.items())]
    git(folder, "fast-import", "--quiet", stdin="".join(commits))


def _commit(reference: str, files: Files, number: int, parent: str = "") -> str:
    """A commit in the format of `git fast-import`."""
    lines = [f"commit {reference}", f"committer test <test@example.org> {1_700_000_000 + number} +0000", "data 0"]
    lines += [f"from {parent}"] if parent else []
    for path, text in files.items():
        lines += [f"D {path}"] if text is None else [f"M 644 inline {path}", f"data {len(text.encode())}", text]
    return "\n".join(lines) + "\n"


def result(
    folder: Path, params: Mapping[str, object], dice: float, seconds: float = 10, epochs: int = 5
) -> dict[str, str]:
    """The files of an experiment: params.yaml as committed with other values, scores, curves, dvc.lock.

    The test Dice of the second network is 0.02 lower. The training of each takes `seconds`, which models/NAME.run.json
    in the DVC cache of `folder` has.
    """
    files = {"params.yaml": edited(COMMITTED.read_text(), dict(params))}
    lock, test = (ROOT / "dvc.lock").read_text(), {}
    for i, name in enumerate(NETWORKS):
        score = round(dice - 0.02 * i, 6)
        test[name] = {"dice": score, "dice_low": score - 0.01, "dice_high": score + 0.01, "iou": score / (2 - score)}
        trained = {"epoch": epochs, "valid_dice": score, "parameters": 1000}
        files[f"metrics/train_{name}.json"] = json.dumps({name: trained}, indent=2)
        rows = [f"{k},{1 - k / epochs / 2:.6g},{score * (1 - 0.5**k):.6g}" for k in range(1, epochs + 1)]
        files[f"plots/train/{name}.csv"] = "\n".join(["epoch,valid_loss,valid_dice", *rows, ""])
        facts = {"seconds": seconds, "device_name": "Fabricated", "experiment": [*params.items(), name]}
        md5 = _cache(folder, json.dumps(facts))
        lock = re.sub(rf"(path: models/{name}.run.json\n +hash: md5\n +md5: )\w+", rf"\g<1>{md5}", lock)
    return files | {"metrics/test.json": json.dumps(test, indent=2), "dvc.lock": lock}


def _cache(folder: Path, text: str) -> str:
    md5 = hashlib.md5(text.encode()).hexdigest()
    path = folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return md5
