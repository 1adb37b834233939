"""The git commit that a result was made from, and what differed from it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

# What determines the results. Outputs are left out: metrics and plots always differ before they are committed.
CODE = ("requirements.txt", "stages", "src")
SOURCES = ("params.yaml", "dvc.yaml", *CODE)


@dataclass(frozen=True)
class Commit:
    """A commit, 40 hex digits or `unknown`, and the files among SOURCES that differ from it."""

    sha: str
    changed: tuple[str, ...]


def commit(root: str | Path = ".") -> Commit:
    """Returns the commit checked out at `root`; unknown without git, outside a repository, before the first commit."""
    sha = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    status = _git(root, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", *SOURCES)
    if not sha or status is None:
        return Commit("unknown", ())
    return Commit(sha.strip(), tuple(entry[3:] for entry in status.split("\0") if entry))


def code_commit(root: str | Path = ".") -> str:
    """Returns the last commit that changed CODE, 40 hex digits, with `-dirty` if CODE differs from it; or `unknown`.

    Equal code gives an equal answer: commits of results or documents do not change it.
    """
    sha = _git(root, "log", "--max-count=1", "--format=%H", "--", *CODE)
    status = _git(root, "status", "--porcelain", "--untracked-files=all", "--", *CODE)
    if not sha or status is None:
        return "unknown"
    return f"{sha.strip()}-dirty" if status else sha.strip()


def committed_text(path: str | Path) -> str | None:
    """Returns the text of a file in the commit checked out; None without git, or if the commit does not have it."""
    path = Path(path)
    return _git(path.parent, "show", f"HEAD:./{path.name}")


def _git(root: str | Path, *arguments: str) -> str | None:
    """Returns what git prints, or None if it fails or is not installed."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, encoding="utf-8", timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):  # no git, or not text
        return None
    return done.stdout if done.returncode == 0 else None
