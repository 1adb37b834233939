"""Recipes as experiments: the `dvc exp run` that a recipe stands for. DVC is called as a command, as people call it."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from petseg.config.overrides import combine, flatten, read
from petseg.recipes import catalog
from petseg.runtime.errors import PetsegError

QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""")
BRACKETED = re.compile(r"\[[^\[\]]*\]|\{[^{}]*\}|\([^()]*\)")


def is_sweep(override: str) -> bool:
    """Whether DVC makes several experiments of `key=value`: of `lr=1e-3,1e-4` or `seed=range(0,3)`."""
    value = override.partition("=")[2]
    bare = QUOTED.sub("", value)
    while BRACKETED.search(bare):
        bare = BRACKETED.sub("", bare)
    return "," in bare or re.match(r"\s*\w+\(", value) is not None


def settings(name: str, overrides: Sequence[str] = (), path: Path = catalog.PARAMS) -> list[str]:
    """What `dvc exp run -S` is to be given for recipe `name` with `key=value` overrides, which win over the recipe.

    Only what is not in params.yaml already, and each key once. Sweeps come last, as they were written.

    Raises:
        ParamsError: something is wrong with the recipe, or with an override that is no sweep.
    """
    sweeps = [each for each in overrides if is_sweep(each)]
    swept = {each.partition("=")[0].strip() for each in sweeps}
    sources = catalog.sources(name, [each for each in overrides if each not in sweeps], path)
    here = flatten(read(path).values)
    changed = {k: value for k, value in flatten(combine(sources)).items() if k not in here or here[k] != value}
    return [*(f"{key}={hydra(value)}" for key, value in changed.items() if key not in swept), *sweeps]


def hydra(value: Any) -> str:
    """A value in the grammar of Hydra's overrides, which is DVC's for `-S`; strings quoted, so that any is taken."""
    if isinstance(value, list):
        return f"[{','.join(map(hydra, value))}]"
    if isinstance(value, str):
        escaped = re.sub(r"(\\*)('|\Z)", lambda found: 2 * found[1] + found[2].replace("'", "\\'"), value)
        return f"'{escaped}'"
    return "null" if value is None else str(value).lower()


def run(names: Sequence[str], overrides: Sequence[str] = (), path: Path = catalog.PARAMS) -> None:
    """Runs one recipe, or queues several (or one with a sweep) and starts the queue, which then runs by itself.

    An experiment's name is its recipe's and the time, since DVC refuses a name twice. A single one takes this process
    over, so that Ctrl-C and the exit status are DVC's own.

    Raises:
        ParamsError: as `settings`, before anything is run.
        PetsegError: there is no `dvc`, or it did not queue one.
    """
    asked = {name: settings(name, overrides, path) for name in names}
    command, env = dvc()
    moment = time.strftime("%m%d-%H%M%S")
    queued = len(asked) > 1 or any(map(is_sweep, overrides))
    for name, values in asked.items():
        exp_run = [command, "exp", "run", "--name", f"{name}-{moment}"]
        arguments = [argument for value in values for argument in ("-S", value)]
        if not queued:
            _become([*exp_run, *arguments], env)
        if subprocess.run([*exp_run, "--queue", *arguments], env=env).returncode:
            raise PetsegError(f"recipe {name} was not queued, see above; `dvc queue status` lists what is.")
    if subprocess.run([command, "queue", "start"], env=env).returncode:
        raise PetsegError("The queue was not started, see above; `dvc queue start` tries again.")
    print(
        "They run one after the other: `dvc queue status` lists them, `dvc queue logs NAME --follow` shows what one "
        "prints, `dvc exp show` compares them."
    )


def _become(command: list[str], env: dict[str, str]) -> NoReturn:
    sys.stdout.flush()
    os.execve(command[0], command, env)


def dvc() -> tuple[str, dict[str, str]]:
    """The command `dvc` and the environment to call it in, which has the Python beside it first, for the stages."""
    if found := shutil.which("dvc"):
        return found, dict(os.environ)
    here = Path(sys.executable).parent
    if found := shutil.which("dvc", path=here):
        return found, os.environ | {"PATH": f"{here}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    raise PetsegError("dvc is not installed here; `make setup` makes .venv with it, then: source .venv/bin/activate.")
