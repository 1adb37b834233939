"""Finding commits and experiments, and reading files in them."""

import subprocess
from pathlib import Path

import pytest

from petseg.experiments import results, revisions
from petseg.experiments.revisions import Revision
from petseg.runtime.errors import PetsegError

SCORES = "name,breed,species,unet,resnet34_unet\nNA,pug,dog,0.900000,0.800000\n"


def git(*arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def commit(files: dict[str, str]) -> str:
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    git("add", "--all")
    git("commit", "--quiet", "--allow-empty", "--message", "test")
    return git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path, monkeypatch) -> dict[str, str]:
    """A commit on main, an experiment `wide` and two named `narrow-1` and `narrow-2` that start from it."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet", "--initial-branch", "main")
    shas = {"main": commit({"params.yaml": "lr: 1e-3\nunet: {width: 16}\n", "plots/test/scores.csv": SCORES})}
    for name, width in (("wide", 32), ("narrow-1", 8), ("narrow-2", 4)):
        git("checkout", "--quiet", "--detach", "main")
        shas[name] = commit({"params.yaml": f"lr: 1e-3\nunet: {{width: {width}}}\n"})
        base = shas["main"]
        git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/{name}", shas[name])
    git("checkout", "--quiet", "main")
    git("update-ref", "refs/exps/stash", shas["wide"])  # one of DVC's own references
    return shas


def test_experiments_have_names_and_baselines(repository):
    found = {each.name: each for each in revisions.experiments()}
    assert set(found) == {"wide", "narrow-1", "narrow-2"}
    assert found["wide"] == ("wide", repository["wide"], repository["main"])


@pytest.mark.parametrize(
    ("text", "names"), [("wide", ["wide"]), ("main", ["main"]), ("narrow-*", ["narrow-1", "narrow-2"])]
)
def test_a_name_or_a_pattern_finds_revisions(repository, text, names):
    assert revisions.resolve(text) == [Revision(name, repository[name]) for name in names]


def test_a_commit_is_found_by_its_abbreviated_hash(repository):
    assert revisions.resolve(repository["wide"][:8])[0].sha == repository["wide"]


def test_an_unknown_name_offers_the_nearest(repository):
    with pytest.raises(PetsegError, match=r"wdie is neither a commit, a branch nor an experiment; .* is wide"):
        revisions.resolve("wdie")
    with pytest.raises(PetsegError, match=r"No experiment matches laptop-\*"):
        revisions.resolve("laptop-*")


def test_an_option_is_not_taken_for_a_revision(repository):
    with pytest.raises(PetsegError, match="--all is neither a commit"):
        revisions.resolve("--all")


def test_a_folder_without_repository_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PetsegError, match="not a git repository"):
        revisions.experiments()


def test_files_are_read_from_the_commit(repository):
    result = results.Result(revisions.resolve("wide")[0])
    assert result.params == {"lr": 0.001, "unet.width": 32}
    assert result.scores.to_dict("list") == {
        "name": ["NA"], "breed": ["pug"], "species": ["dog"], "unet": [0.9], "resnet34_unet": [0.8]
    }  # fmt: skip
    with pytest.raises(PetsegError, match=r"wide has no metrics/test.json"):
        _ = result.test


def test_differences_name_both_values():
    assert results.differences({"lr": 1, "seed": 0}, {"lr": 2, "seed": 0, "new": True}) == {
        "lr": (1, 2), "new": (None, True)
    }  # fmt: skip
