"""Running recipes as experiments, by the command `dvc exp run`."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from petseg.config.overrides import combine, flatten, hydra, read
from petseg.recipes import catalog
from petseg.runtime.errors import PetsegError

QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""")
BRACKETED = re.compile(r"\[[^\[\]]*\]|\{[^{}]*\}|\([^()]*\)")


def is_sweep(override: str) -> bool:
    """Whether DVC expands `key=value` to several experiments, as it does `lr=1e-3,1e-4` and `seed=range(0,3)`."""
    value = override.partition("=")[2]
    bare = QUOTED.sub("", value)
    while BRACKETED.search(bare):
        bare = BRACKETED.sub("", bare)
    return "," in bare or re.match(r"\s*\w+\(", value) is not None


def settings(name: str, overrides: Sequence[str] = (), path: Path = catalog.PARAMS) -> list[str]:
    """The arguments of `dvc exp run -S` for a recipe: each value that differs from params.yaml, once.

    Args:
        overrides: `key=value` texts, which win over the recipe. Sweeps are passed on as written, after all others.

    Raises:
        ParamsError: the recipe is wrong, or an override that is not a sweep.
    """
    sweeps = [each for each in overrides if is_sweep(each)]
    swept = {each.partition("=")[0].strip() for each in sweeps}
    sources = catalog.sources(name, [each for each in overrides if each not in sweeps], path)
    present = flatten(read(path).values)
    changed = {k: v for k, v in flatten(combine(sources)).items() if k not in present or present[k] != v}
    return [*(f"{key}={hydra(value)}" for key, value in changed.items() if key not in swept), *sweeps]


def run(names: Sequence[str], overrides: Sequence[str] = (), path: Path = catalog.PARAMS) -> None:
    """Replaces this process by `dvc exp run` of one recipe, so that Ctrl-C and the exit status are DVC's.

    Several recipes, or one with a sweep, are queued instead, and the queue is started. An experiment is named after its
    recipe and the time, since DVC does not accept a name twice.

    Raises:
        ParamsError: see `settings`; nothing has been run then.
        PetsegError: `dvc` is not installed or failed to queue a recipe.
    """
    asked = {name: settings(name, overrides, path) for name in names}
    command, env = dvc()
    moment = time.strftime("%m%d-%H%M%S")
    queued = len(asked) > 1 or any(map(is_sweep, overrides))
    for name, values in asked.items():
        exp_run = [command, "exp", "run", "--name", f"{name}-{moment}"]
        arguments = [argument for value in values for argument in ("-S", value)]
        if not queued:
            sys.stdout.flush()
            os.execve(command, [*exp_run, *arguments], env)
        if subprocess.run([*exp_run, "--queue", *arguments], env=env).returncode:
            raise PetsegError(f"recipe {name} was not queued, see above; `dvc queue status` shows what was.")
    if subprocess.run([command, "queue", "start"], env=env).returncode:
        raise PetsegError("The queue did not start, see above; try again with `dvc queue start`.")
    print(
        "The experiments run in the background. `dvc queue status` lists them, `dvc queue logs NAME --follow` shows "
        "the output of one, and `petseg results` compares them."
    )


def dvc() -> tuple[str, dict[str, str]]:
    """The path of the command `dvc`, and an environment in which stages use this Python.

    Raises:
        PetsegError: `dvc` is neither on the PATH nor beside this Python.
    """
    path, here = os.environ.get("PATH", os.defpath), Path(sys.executable).parent
    if found := shutil.which("dvc", path=f"{path}{os.pathsep}{here}"):
        return found, os.environ | {"PATH": f"{here}{os.pathsep}{path}"}
    raise PetsegError("dvc is not installed; run `make setup`, then `source .venv/bin/activate`.")
