"""Recipes: named overrides of params.yaml, one file recipes/NAME.yaml each. Lists, shows and applies them.

Parameters that a recipe does not name keep their value in params.yaml. The recipe `default` is params.yaml as
committed, not as experiments have left it.
"""

import contextlib
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
MARK = "> "  # starts a line whose value is not the default
COLUMNS = ("name", "data", "size", "width", "epochs", "batch", "lr", "description")


def sources(name: str, overrides: Sequence[str] = (), path: Path = PARAMS) -> list[Source]:
    """The validated sources of a recipe's parameters, in order of precedence; the last one wins.

    Args:
        overrides: `key=value` texts, which win over the recipe.
        path: params.yaml, with the folder recipes/ beside it.

    Raises:
        ParamsError: there is no such recipe; the recipe, `path` or an override is wrong.
    """
    files_read = [default(path)] if name == DEFAULT else [read(path), read(recipe_path(path.parent, name))]
    found = [*files_read, *map(override, overrides)]
    params.check(found)
    return found


def default(path: Path = PARAMS) -> Source:
    """The parameters in `default_text`, not validated."""
    return parse(default_text(path), f"{path} as committed")


def default_text(path: Path = PARAMS) -> str:
    """The committed text of params.yaml; its present text if git has no commit of it."""
    committed = _committed_text(path)
    return read_text(path) if committed is None else committed


def _committed_text(path: Path) -> str | None:
    command = ["git", "show", f"HEAD:./{path.name}"]
    try:
        done = subprocess.run(command, cwd=path.parent, capture_output=True, encoding="utf-8")
    except (OSError, UnicodeDecodeError):  # no git, or not text
        return None
    return done.stdout if done.returncode == 0 else None


def table(path: Path = PARAMS) -> str:
    """A table of all recipes: the most important values of each, and the first line of its description.

    Raises:
        ParamsError: a recipe or `path` is wrong.
    """
    rows = [COLUMNS, *(_row(name, path) for name in recipe_names(path.parent))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(name: str, path: Path) -> tuple[str, ...]:
    """Values in which the networks differ are joined by a slash, in the order of `NETWORKS`."""
    effective = params.check(sources(name, path=path))
    if name == DEFAULT:
        description = f"{path} as committed."
    else:
        description = _head(read_text(recipe_path(path.parent, name)))[0].lstrip("# ")
    trainings = [effective.training(network) for network in NETWORKS]
    values = [[f"{getattr(each, key):g}" for each in trainings] for key in ("width", "epochs", "batch_size", "lr")]
    return (
        name,
        effective.data.source,
        str(effective.image_size),
        *("/".join(dict.fromkeys(each)) for each in values),
        description,
    )


def _head(text: str) -> list[str]:
    """The lines of the comment at the start of a file; one empty line if there is none."""
    lines = text.splitlines()
    end = next((at for at, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return lines[:end] or [""]


def show(name: str, path: Path = PARAMS) -> str:
    """All parameters of a recipe in the layout and with the comments of params.yaml, below the recipe's description.

    Lines whose value is not the default start with `MARK` and end with the default; all others are indented to match.
    `default` is shown unchanged.

    Raises:
        ParamsError: see `sources`.
    """
    effective = flatten(combine(sources(name, path=path)))
    if name == DEFAULT:
        return default_text(path).rstrip("\n")
    defaults, text = flatten(default(path).values), edited(read_text(path), effective)
    lines = text.splitlines()
    margins = ["  "] * len(lines)
    for key, at in line_numbers(text).items():
        if effective[key] != defaults.get(key, effective[key]):
            lines[at] += f"  # default: {one_line(defaults[key])}"
            margins[at] = MARK
    body = [f"{margin}{line}".rstrip() for margin, line in zip(margins, lines, strict=True)]
    legend = f"# Lines with {MARK.strip()} differ from {path} as committed; the committed value is at their end."
    return "\n".join([*_head(read_text(recipe_path(path.parent, name))), legend, *body[len(_head(text)) :]])


def apply(name: str, path: Path = PARAMS, force: bool = False) -> int:
    """Writes the values of a recipe to params.yaml and keeps its comments; on an error the file is left alone.

    Args:
        force: overwrite edits that are neither committed nor those of a recipe.

    Returns:
        The number of values that changed.

    Raises:
        ParamsError: see `sources`; or edits would be lost; or git has no commit of `path` to compare with.
    """
    found = sources(name, path=path)
    if not force:
        _refuse_to_lose_edits(name, path)
    before, after = flatten(read(path).values), flatten(combine(found))
    text = default_text(path) if name == DEFAULT else edited(read_text(path), after)
    with files.atomic_file(path) as part:
        part.write_text(text, encoding="utf-8")
        if params.load(part) != params.check(found):
            raise PetsegError(f"{path} has a form that cannot be edited automatically; set the values by hand.")
    return sum(key not in before or before[key] != value for key, value in after.items())


def _refuse_to_lose_edits(name: str, path: Path) -> None:
    """Raises ParamsError unless all values of `path` can be restored: they are committed, or those of one recipe."""
    committed = _committed_text(path)
    if committed is None:
        raise ParamsError(f"git has no commit of {path}, so its values would be lost; commit it, or add --force.")
    text = read_text(path)
    loses_comments = name == DEFAULT and _comments(text) != _comments(committed)
    if loses_comments or parse(text, str(path)).values not in _known_values(committed, path):
        raise ParamsError(f"{path} has edits that are not committed; commit them, or add --force to overwrite them.")


def _known_values(committed: str, path: Path) -> list[dict]:
    """The values of params.yaml as committed, and after applying each valid recipe to them."""
    base = parse(committed, str(path))
    known = [base.values]
    for name in recipe_names(path.parent)[1:]:
        with contextlib.suppress(ParamsError):  # a broken recipe elsewhere does not matter here
            known.append(combine([base, read(recipe_path(path.parent, name))]))
    return known


def _comments(text: str) -> list[str]:
    return [comment for line in text.splitlines() if (comment := line.partition("#")[2])]
