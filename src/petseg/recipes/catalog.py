"""Recipes: named overrides of params.yaml, one file recipes/NAME.yaml each. Lists, shows and applies them.

Parameters that a recipe does not name keep their value in params.yaml. The recipe `default` is params.yaml as
committed, not as experiments have left it.
"""

import contextlib
import difflib
import itertools
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
from petseg.recipes.yaml_edit import edited
from petseg.runtime import files, provenance
from petseg.runtime.errors import ParamsError

PARAMS = Path("params.yaml")
COLUMNS = ("name", "size", "width", "epochs", "batch", "lr", "description")


def sources(name: str, overrides: Sequence[str] = (), path: Path = PARAMS) -> list[Source]:
    """The validated sources of a recipe's parameters, in order of precedence; the last one wins.

    Args:
        overrides: `key=value` texts, which win over the recipe.
        path: params.yaml, with the folder recipes/ beside it.

    Raises:
        ParamsError: there is no such recipe; the recipe, `path` or an override is wrong.
    """
    files_read = [_default(path)] if name == DEFAULT else [read(path), read(recipe_path(path.parent, name))]
    found = [*files_read, *map(override, overrides)]
    params.check(found)
    return found


def _default(path: Path) -> Source:
    return parse(default_text(path), f"{path} as committed")


def default_text(path: Path = PARAMS) -> str:
    """The committed text of params.yaml; its present text if git has no commit of it."""
    committed = provenance.committed_text(path)
    return read_text(path) if committed is None else committed


def table(path: Path = PARAMS) -> str:
    """A table of all recipes: main values, first line of the description; raises the ParamsError of `sources`."""
    rows = [COLUMNS, *(_row(name, path) for name in recipe_names(path.parent))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(name: str, path: Path) -> tuple[str, ...]:
    """Values in which the networks differ are joined by a slash, in the order of `NETWORKS`."""
    effective = params.check(sources(name, path=path))
    description = f"{path}, committed" if name == DEFAULT else _head(name, path)[0].lstrip("# ")
    trainings = [effective.training(network) for network in NETWORKS]
    values = [[f"{getattr(each, key):g}" for each in trainings] for key in ("width", "epochs", "batch_size", "lr")]
    return (
        name,
        str(effective.image_size),
        *("/".join(dict.fromkeys(each)) for each in values),
        description,
    )


def _head(name: str, path: Path) -> list[str]:
    """The lines of the comment at the start of a recipe; one empty line if there is none."""
    lines = read_text(recipe_path(path.parent, name)).splitlines()
    return list(itertools.takewhile(lambda line: line.startswith("#"), lines)) or [""]


def show(name: str, path: Path = PARAMS) -> str:
    """The description of a recipe, and all its parameters as a comparison with params.yaml as committed.

    Values that differ are preceded by `+`, those of params.yaml by `-`; other lines are indented to match. `default` is
    shown unchanged. Raises the ParamsError of `sources`.
    """
    text = _text(name, path)
    if name == DEFAULT:
        return text.rstrip("\n")
    compared = difflib.ndiff(default_text(path).splitlines(), text.splitlines())
    return "\n".join([*_head(name, path), "", *(line.rstrip() for line in compared if line[0] != "?")])


def _text(name: str, path: Path) -> str:
    """The text of params.yaml as committed, with the values of a recipe; raises the ParamsError of `sources`."""
    text, found = default_text(path), [_default(path)]
    if name != DEFAULT:
        found.append(read(recipe_path(path.parent, name)))
        text = edited(text, flatten(found[1].values))
    params.check(found)
    return text


def apply(name: str, path: Path = PARAMS, force: bool = False) -> None:
    """Writes params.yaml as committed, with the values of a recipe; on an error the file is left alone.

    Args:
        force: overwrite edits that are neither committed nor made by a recipe.

    Raises:
        ParamsError: see `sources`; or edits would be lost; or git has no commit of `path` to compare with.
    """
    text = _text(name, path)
    if not force:
        _refuse_to_lose_edits(path)
    files.write_text(path, text)


def _refuse_to_lose_edits(path: Path) -> None:
    """Raises ParamsError unless `path` can be restored: it is as committed, or has the values of one recipe."""
    committed, present = provenance.committed_text(path), read_text(path)
    if committed is None:
        raise ParamsError(f"git has no commit of {path}, so its values would be lost; commit it, or add --force.")
    known = [parse(committed, str(path)).values]
    for name in recipe_names(path.parent)[1:]:
        with contextlib.suppress(ParamsError):  # a broken recipe elsewhere does not matter here
            known.append(combine([_default(path), read(recipe_path(path.parent, name))]))
    if parse(present, str(path)).values not in known or _comments(present) != _comments(committed):
        raise ParamsError(f"{path} has edits that are not committed; commit them, or add --force to overwrite them.")


def _comments(text: str) -> list[str]:
    return [line.partition("#")[2] for line in text.splitlines() if "#" in line]
