"""The command that makes the results of a report again."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from petseg.config.overrides import flatten, hydra, parse, read
from petseg.runtime import provenance
from petseg.runtime.errors import ParamsError

PARAMS = "params.yaml"


@dataclass(frozen=True)
class Origin:
    """What a report was made from.

    Attributes:
        sha: the commit checked out, 40 hex digits, or `unknown`.
        changed: files that differed from this commit in a way that `command` does not repeat.
        overrides: parameters that differed from it, as `key=value` for `dvc exp run -S`.
        experiment: the name of DVC's experiment, if it was one.
    """

    sha: str
    changed: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    experiment: str | None = None

    @property
    def command(self) -> str:
        """A command line for a shell."""
        settings = "".join(f" -S {shlex.quote(each)}" for each in self.overrides)
        run = f"dvc exp run{settings}" if settings else "dvc repro"
        return run if self.sha == "unknown" else f"git checkout {self.sha} && {run}"


def origin(root: str | Path = ".") -> Origin:
    """Returns the origin of the files at `root`."""
    commit = provenance.commit(root)
    changed, overrides = commit.changed, ()
    if PARAMS in changed and (found := _overrides(Path(root) / PARAMS)) is not None:
        changed, overrides = tuple(path for path in changed if path != PARAMS), found
    return Origin(commit.sha, changed, overrides, os.environ.get("DVC_EXP_NAME"))


def _overrides(path: Path) -> tuple[str, ...] | None:
    """The values of `path` that differ from the commit; None if its keys differ, which `-S` does not repeat."""
    text = provenance.committed_text(path)
    if text is None:
        return None
    try:
        before, now = flatten(parse(text, f"{path} as committed").values), flatten(read(path).values)
    except ParamsError:
        return None
    if before.keys() != now.keys():
        return None
    return tuple(f"{key}={hydra(value)}" for key, value in now.items() if value != before[key])
