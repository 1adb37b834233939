"""Recipes: named overrides of params.yaml, each a file of recipes/; how they are listed, shown and applied.

What a recipe does not name stays as it lies in params.yaml. `default` is one too: params.yaml as it is committed,
whatever experiments have left in it since.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from petseg.config import params
from petseg.config.networks import NETWORKS
from petseg.config.overrides import (
    DEFAULT,
    Source,
    combine,
    flatten,
    override,
    parse,
    read,
    read_text,
    recipe_names,
    recipe_path,
)
from petseg.recipes.yaml_edit import edited, line_numbers, one_line
from petseg.runtime import files
from petseg.runtime.errors import ParamsError, PetsegError

PARAMS = Path("params.yaml")
CHANGED = "> "  # before a line whose value is not the default's
COLUMNS = ("name", "data", "pixels", "width", "epochs", "batch", "lr", "what it is")


def sources(name: str, overrides: Sequence[str] = (), path: Path = PARAMS) -> list[Source]:
    """Where the parameters of recipe `name` come from, `key=value` overrides last; checked.

    Raises:
        ParamsError: there is no such recipe, or something is wrong with it, with `path` or with an override.
    """
    files_read = [default(path)] if name == DEFAULT else [read(path), read(recipe_path(path.parent, name))]
    found = [*files_read, *map(override, overrides)]
    params.check(found)
    return found


def default(path: Path = PARAMS) -> Source:
    """The keys of `default_text`, not checked."""
    return parse(default_text(path), f"{path} as committed")


def default_text(path: Path = PARAMS) -> str:
    """params.yaml as the last commit has it; where git knows of none, as it lies there."""
    committed = _git(path, "show", f"HEAD:./{path.name}")
    return read_text(path) if committed is None else committed


def _git(path: Path, *arguments: str) -> str | None:
    """What git prints in the folder of `path`; None where there is no git, no repository or nothing to show."""
    try:
        done = subprocess.run(["git", *arguments], cwd=path.parent, capture_output=True, encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return done.stdout if done.returncode == 0 else None


def table(path: Path = PARAMS) -> str:
    """A line for each recipe: its name, sizes and epochs, and what it is.

    Raises:
        ParamsError: something is wrong with one of them.
    """
    rows = [COLUMNS, *(_row(name, path) for name in recipe_names(path.parent))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(name: str, path: Path) -> tuple[str, ...]:
    """Width, epochs, batch and learning rate are `unet's/resnet34_unet's` where they are not the same."""
    effective = params.check(sources(name, path=path))
    if name == DEFAULT:
        about = f"What {path} holds, as committed."
    else:
        about = _head(read_text(recipe_path(path.parent, name)))[0].lstrip("# ")
    trainings = [effective.training(network) for network in NETWORKS]
    sizes = [[f"{getattr(each, key):g}" for each in trainings] for key in ("width", "epochs", "batch_size", "lr")]
    return (
        name,
        effective.data.source,
        str(effective.image_size),
        *("/".join(dict.fromkeys(both)) for both in sizes),
        about,
    )


def _head(text: str) -> list[str]:
    """The comment with which a file begins, or an empty line."""
    lines = text.splitlines()
    end = next((at for at, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return lines[:end] or [""]


def show(name: str, path: Path = PARAMS) -> str:
    """All parameters with the recipe's values and params.yaml's comments, under the recipe's own head comment.

    A line whose value is not the default's begins with `CHANGED` and ends with the default's value; the others are
    indented as far. `default` is shown as it is.

    Raises:
        ParamsError: as `sources`.
    """
    effective = flatten(combine(sources(name, path=path)))
    if name == DEFAULT:
        return default_text(path).rstrip("\n")
    usual, text = flatten(default(path).values), edited(read_text(path), effective)
    lines = text.splitlines()
    margins = ["  "] * len(lines)
    for key, at in line_numbers(text).items():
        if effective[key] != usual.get(key, effective[key]):
            lines[at] += f"  # default: {one_line(usual[key])}"
            margins[at] = CHANGED
    head = _head(read_text(recipe_path(path.parent, name)))
    body = [f"{margin}{line}".rstrip() for margin, line in zip(margins, lines, strict=True)]
    legend = f"# {CHANGED.strip()} marks what is not as in {path} as committed, whose value ends the line."
    return "\n".join([*head, legend, *body[len(_head(text)) :]])


def apply(name: str, path: Path = PARAMS, force: bool = False) -> int:
    """Writes the recipe's values to `path`, whose comments and order stay; whole, or after an error not at all.

    Args:
        force: also where edits that are not committed would be lost.

    Returns:
        How many values were changed.

    Raises:
        ParamsError: as `sources`; or `path` has edits that are not committed, or git cannot tell.
    """
    found = sources(name, path=path)
    if not force:
        _refuse_to_lose(path)
    before, after = flatten(read(path).values), flatten(combine(found))
    text = default_text(path) if name == DEFAULT else edited(read_text(path), after)
    with files.atomic_file(path) as part:
        part.write_text(text, encoding="utf-8")
        if params.load(part) != params.check(found):
            raise PetsegError(f"{path} is written in a way that cannot be edited here; put the values in by hand.")
    return sum(key not in before or before[key] != value for key, value in after.items())


def _refuse_to_lose(path: Path) -> None:
    status = _git(path, "status", "--porcelain", "--", path.name)
    if status is None:
        raise ParamsError(
            f"git cannot tell whether {path} has edits that would be lost; --force writes the recipe all the same."
        )
    if status:
        raise ParamsError(
            f"{path} has edits that are not committed and would be lost: commit them, or add --force to lose them."
        )
