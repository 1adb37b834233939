"""The git commit that a result was made from, and what differed from it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

# What determines the results. Outputs are left out: metrics and plots always differ before they are committed.
SOURCES = ("params.yaml", "dvc.yaml", "requirements.txt", "stages", "src")


@dataclass(frozen=True)
class Commit:
    """A commit, 40 hex digits or `unknown`, and the files among SOURCES that differ from it."""

    sha: str
    changed: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.sha}-dirty" if self.changed else self.sha


def commit(root: str | Path = ".") -> Commit:
    """Returns the commit checked out at `root`; unknown without git, outside a repository, before the first commit."""
    sha = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    status = _git(root, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", *SOURCES)
    if not sha or status is None:
        return Commit("unknown", ())
    return Commit(sha.strip(), tuple(entry[3:] for entry in status.split("\0") if entry))


def _git(root: str | Path, *arguments: str) -> str | None:
    """Returns what git prints, or None if it fails or is not installed."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
