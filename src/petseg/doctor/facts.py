"""What a bug report needs: system, processor, versions, commit, and how the parameters differ from it."""

import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from petseg import __version__
from petseg.config.overrides import flatten, parse, read
from petseg.recipes.catalog import PARAMS, default_text
from petseg.runtime import machine
from petseg.runtime.errors import ParamsError
from petseg.runtime.provenance import commit

PACKAGES = ("torch", "torchvision", "albumentations", "numpy", "opencv-python-headless", "pandas", "pillow", "pydantic")


def table() -> str:
    """One line per fact, its name first; no final newline."""
    memory = psutil.virtual_memory().total / 1e9
    found = {
        "petseg": __version__,
        "commit": _commit(),
        "parameters": _parameters(),
        "system": f"{platform.platform()}, {platform.machine()}",
        "processor": f"{machine.cpu_name()}, {machine.cores()} cores, {memory:.1f} GB of memory",
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "packages": ", ".join(map(_package, PACKAGES)),
    }
    return "\n".join(f"{name:<10}  {text}" for name, text in found.items())


def _commit() -> str:
    made = commit()
    more = f" and {len(made.changed) - 5} more" if len(made.changed) > 5 else ""
    return f"{made.sha}, changed: {', '.join(made.changed[:5])}{more}" if made.changed else made.sha


def _parameters() -> str:
    """The values in params.yaml that differ from the committed ones."""
    try:
        old, new = (flatten(each.values) for each in (parse(default_text(), "the committed file"), read(PARAMS)))
    except ParamsError as error:
        return str(error)
    changed = [f"{key} {old.get(key)} -> {new.get(key)}" for key in {**old, **new} if old.get(key) != new.get(key)]
    return ", ".join(changed) or "as committed"


def _package(name: str) -> str:
    """Name and version of a package, and the version in requirements.txt if that is another one."""
    try:
        found = version(name)
    except PackageNotFoundError:
        return f"{name} is missing"
    pinned = re.findall(rf"(?m)^{re.escape(name)}==([^\s;]+)", _requirements())  # several, for versions of Python
    known = not pinned or found.partition("+")[0] in pinned
    other = "" if known else f" (requirements.txt: {' or '.join(pinned)})"
    return f"{name} {found}{other}"


def _requirements() -> str:
    path = Path("requirements.txt")
    return path.read_text(encoding="utf-8") if path.is_file() else ""
