"""Checks what set-up and pipeline need, before anything is installed. Needs only the standard library.

    python tools/preflight.py           Python version, TORCH_INDEX, free disk space; nothing once .venv is complete
    python tools/preflight.py --repro   also the git repository

Prints one line per problem and exits with status 1; a warning does not change the status.
Runs on any Python from 3.8 on, so that it can say that a Python is too old.
"""

from __future__ import annotations  # keeps Python 3.8 from evaluating `str | None`

import configparser
import importlib.util
import os
import shutil
import subprocess
import sys

PYTHONS = ["python3.13", "python3.12", "python3.11"]
CUDA_GB = 7.5  # measured on Linux: 6.9 GB in .venv, and pip's temporary files
CPU_GB = 2.5


def python_problem() -> str | None:
    """Returns why this interpreter cannot make .venv, or None if it can."""
    version = sys.version_info
    if not (3, 11) <= version[:2] <= (3, 13):
        found = next(filter(shutil.which, PYTHONS), None)
        cure = f"add PYTHON={found} to the make command" if found else "install one and add PYTHON=python3.12, say"
        return f"Python 3.11 to 3.13 is required, but this is {version[0]}.{version[1]}: {cure}"
    if importlib.util.find_spec("ensurepip") is None:
        return (
            "this Python cannot create virtual environments because its module ensurepip is missing: "
            f"on Debian or Ubuntu, type `sudo apt install python{version[0]}.{version[1]}-venv`"
        )
    return None


def index_problem(index: str) -> str | None:
    """Returns why the value of TORCH_INDEX cannot be used, or None if it is empty, a URL or a folder."""
    if index and "://" not in index and not os.path.isdir(index):
        return f"TORCH_INDEX={index} is neither a URL nor a folder: correct it, or leave it out"
    return None


def disk_problem(index: str) -> str | None:
    """Returns a sentence if this folder's disk has too little space for the packages, else None."""
    with_cuda = sys.platform == "linux" and not index
    needed = CUDA_GB if with_cuda else CPU_GB
    free = shutil.disk_usage(".").free / 1e9
    if free >= needed:
        return None
    cure = f", or add TORCH_INDEX=... (see `make help`) to need only {CPU_GB} GB" if with_cuda else ""
    return f"the packages need {needed} GB of disk space, but {os.getcwd()} has {free:.1f} GB free: free some{cure}"


def git_problem() -> str | None:
    """Returns why DVC cannot use this folder's git repository, or None if it can or is configured without git."""
    config = configparser.ConfigParser(strict=False)
    config.read([".dvc/config", ".dvc/config.local"])
    if config.get("core", "no_scm", fallback="false").strip().lower() == "true":
        return None
    if shutil.which("git") is None:
        return "git is not installed, but DVC needs a git repository: install git"
    done = _git("rev-parse", "--verify", "--quiet", "HEAD")
    if done.returncode == 0:
        return None
    if "not a git repository" in done.stderr:
        return (
            "DVC needs a git repository, but this folder is in none: "
            "type `git init && git add -A && git commit -m start`"
        )
    if done.stderr:  # such as "detected dubious ownership", with git's own advice
        return f"git cannot use this folder: {' '.join(done.stderr.split())}"
    return "this git repository has no commit, so results could not be traced: type `git add -A && git commit -m start`"


def identity_warning() -> str | None:
    """Returns a sentence if git has no identity, which `dvc repro` can do without, else None."""
    if shutil.which("git") is None:
        return None
    missing = [
        key
        for key in ("name", "email")
        if not os.environ.get(f"GIT_COMMITTER_{key.upper()}") and not _git("config", f"user.{key}").stdout.strip()
    ]
    if not missing:
        return None
    examples = {"name": '"Your Name"', "email": "you@example.org"}
    commands = " and ".join(f"`git config --global user.{key} {examples[key]}`" for key in missing)
    return f"git does not know who you are, and commits and `dvc exp run` will be refused: type {commands}"


def main(arguments: list[str]) -> int:
    """Prints problems and warnings to stderr.

    Returns:
        The exit status: 1 if there is a problem, else 0.
    """
    index = os.environ.get("TORCH_INDEX", "")
    problems = []
    if not os.path.exists(".venv/done"):
        problems += [python_problem(), index_problem(index), disk_problem(index)]
    warning = None
    if "--repro" in arguments:
        problems.append(git_problem())
        warning = identity_warning()
    problems = [problem for problem in problems if problem]
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if warning:
        print(f"warning: {warning}", file=sys.stderr)
    return 1 if problems else 0


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = dict(os.environ, LC_ALL="C")
    return subprocess.run(["git", *arguments], env=env, capture_output=True, text=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
