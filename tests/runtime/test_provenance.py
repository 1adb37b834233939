"""The git commit of a result."""

import re
import subprocess

import pytest

from petseg.runtime.provenance import Commit, code_commit, commit


@pytest.fixture
def git(tmp_path):
    """Runs git in tmp_path."""
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]

    def run(*arguments):
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    run("init")
    return run


def write(folder, text, *names):
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def test_commit_looks_at_changes_of_sources_only(git, tmp_path):
    assert commit(tmp_path) == Commit("unknown", ())
    write(tmp_path, "1", "params.yaml", "src/a b.py", "metrics.json")
    git("add", ".")
    git("commit", "-m", "first")
    clean = commit(tmp_path)
    assert re.fullmatch("[0-9a-f]{40}", clean.sha)
    assert clean.changed == ()
    write(tmp_path, "2", "src/a b.py", "src/new.py", "metrics.json")
    assert commit(tmp_path) == Commit(clean.sha, ("src/a b.py", "src/new.py"))


def test_the_commit_of_the_code_is_that_of_its_last_change(git, tmp_path):
    assert code_commit(tmp_path) == "unknown"
    write(tmp_path, "1", "params.yaml", "src/a.py")
    git("add", ".")
    git("commit", "-m", "first")
    first = code_commit(tmp_path)
    assert first == commit(tmp_path).sha
    write(tmp_path, "2", "params.yaml", "docs/a.md")
    git("add", ".")
    git("commit", "-m", "second")
    assert code_commit(tmp_path) == first != commit(tmp_path).sha
    write(tmp_path, "2", "src/a.py")
    assert code_commit(tmp_path) == f"{first}-dirty"
    git("add", ".")
    git("commit", "-m", "third")
    assert code_commit(tmp_path) == commit(tmp_path).sha
