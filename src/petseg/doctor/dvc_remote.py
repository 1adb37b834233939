"""The DVC remote, and experiments whose outputs cannot be pushed to it.

DVC reads the committed configuration of an experiment when it pushes one. So `dvc exp push` says that an experiment was
pushed, and uploads nothing, if the experiment ran before the remote was added; with --force, too.
"""

import re
import subprocess

from petseg.doctor.checks import OK, WARNING, Result
from petseg.recipes.run import dvc


def check() -> Result:
    """Names the experiments that ran before the default remote was added."""
    origin, remote = _default()
    if not remote:
        return OK, "none; data and weights stay on this machine (see DVC remotes in docs/scaling.md)"
    # Settings of a machine (.dvc/config.local and others) hold for every experiment.
    without = _experiments_without(remote) if origin == ".dvc/config" else []
    if not without:
        return OK, f"{remote} is the default"
    listed = ", ".join(without[:5]) + (f" and {len(without) - 5} more" if len(without) > 5 else "")
    return WARNING, (
        f"{listed} ran before the remote {remote} was added, so `dvc exp push` uploads none of their outputs; run them "
        "again, which takes seconds, and push those"
    )


def _default() -> tuple[str, str]:
    """The file that names the default remote, and its name; both empty if there is none."""
    command, env = dvc()
    asked = [command, "config", "--show-origin", "core.remote"]
    done = subprocess.run(asked, env=env, capture_output=True, text=True)
    origin, _, name = done.stdout.strip().rpartition("\t")
    return (origin, name) if done.returncode == 0 else ("", "")


def _experiments_without(remote: str) -> list[str]:
    """Names of the experiments whose own .dvc/config does not have this default remote."""
    references = _git("for-each-ref", "--format=%(refname)", "refs/exps/[0-9a-f][0-9a-f]/*/*")
    if not references:
        return []
    pattern = rf"^\s*remote\s*=\s*{re.escape(remote)}\s*$"
    lacking = _git("grep", "--files-without-match", "--extended-regexp", pattern, *references, "--", ".dvc/config")
    return sorted(line.removesuffix(":.dvc/config").rpartition("/")[2] for line in lacking)


def _git(*arguments: str) -> list[str]:
    """The lines that git prints; none if it fails."""
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True).stdout.splitlines()
    except OSError:
        return []
