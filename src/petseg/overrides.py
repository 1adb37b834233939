"""Parameters as they are written, before they are typed: nested values of params.yaml, of a recipe and of `-S`.

Each comes with the place that it was read from, so that a complaint can name it.
"""

import difflib
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from petseg import yaml12
from petseg.errors import ParamsError

DEFAULT = "default"  # the recipe that changes nothing


class Source(NamedTuple):
    """Some keys and their values, and where they are from: a file's path, or `-S key=value`."""

    place: str
    values: dict[str, Any]


def read(path: Path) -> Source:
    """The keys of a YAML file.

    Raises:
        ParamsError: it is missing, no text or no YAML, or holds no keys.
    """
    return parse(read_text(path), str(path))


def read_text(path: Path) -> str:
    """What stands in a file; raises the ParamsError of `read`."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParamsError(f"{path} does not exist; run this from the top folder of the project.") from None
    except (UnicodeDecodeError, OSError) as error:
        raise ParamsError(f"{path} cannot be read as text: {error}.") from None


def parse(text: str, place: str) -> Source:
    """The keys of a YAML text; raises the ParamsError of `read`."""
    values = _values(text, place)
    if not isinstance(values, dict):
        raise ParamsError(f"{place} holds no keys: it must be a list of `key: value` lines.")
    return Source(place, _with_text_keys(values))


def _with_text_keys(values: Any) -> Any:
    """Keys such as 1, which name nothing here, as text, so that they are told like any other unknown key."""
    return {str(key): _with_text_keys(value) for key, value in values.items()} if isinstance(values, dict) else values


def recipe_names(folder: Path) -> list[str]:
    """The recipes of a project: `default`, and each file of its folder recipes/."""
    return [DEFAULT, *sorted(path.stem for path in (folder / "recipes").glob("*.yaml"))]


def recipe_path(folder: Path, name: str) -> Path:
    """The file of recipe `name`, which is not `default`.

    Raises:
        ParamsError: there is none; the sentence offers the nearest name, or all.
    """
    path, names = folder / "recipes" / f"{name}.yaml", recipe_names(folder)
    if name not in names[1:]:
        near = difflib.get_close_matches(name, names, n=1)
        offer = f"the nearest recipe is {near[0]}" if near else f"there are the recipes {', '.join(names)}"
        raise ParamsError(f"{path} does not exist; {offer}.")
    return path


def override(text: str) -> Source:
    """`key=value`, with a dotted key and a YAML value.

    Raises:
        ParamsError: it is none.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ParamsError(f"{text!r} is no override: write key=value, for example lr=1e-4.")
    nested = _values(value, text)
    for part in reversed(key.strip().split(".")):
        nested = {part: nested}
    return Source(f"-S {text}", nested)


def _values(text: str, place: str) -> Any:
    try:
        return yaml12.parse(text)
    except yaml12.YamlError as error:
        raise ParamsError(f"{place} is {error}.") from None


def combined(sources: Sequence[Source]) -> dict[str, Any]:
    """All keys; of a key that several sources have, the last one's value."""
    return reduce(_merged, (source.values for source in sources), {})


def _merged(values: dict, changes: dict) -> dict:
    both = dict(values)
    for key, value in changes.items():
        old = both.get(key)
        both[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both


def flat(values: dict, prefix: str = "") -> dict[str, Any]:
    """The same with dotted keys; lists stay whole."""
    leaves: dict[str, Any] = {}
    for key, value in values.items():
        leaves |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return leaves


def sentence(error: ValidationError, sources: Sequence[Source], model: type[BaseModel]) -> str:
    """One of pydantic's complaints about `combined(sources)` as a sentence that begins with the place to look at.

    An unknown key comes first, since it often explains a missing one.
    """
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    parts = [str(part) for part in first["loc"] if not isinstance(part, int)]
    key, file = ".".join(parts), sources[0].place
    if first["type"] == "missing":
        return f"{file}: {key} is missing; add it; `git diff` shows what was removed."
    if first["type"] == "value_error":
        return f"{_all_places(sources)}: {first['ctx']['error']}."
    place = next((each.place for each in reversed(sources) if _touches(each.values, parts)), file)
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, list(_valid_keys(model)), n=1, cutoff=0.0)[0]
        return f"{place}: {key} is not a parameter; the nearest that is: {near}."
    if first["type"] == "model_type":
        return f"{place}: {key} is {first['input']!r}, but it holds keys of its own."
    return f"{place}: {key} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}."


def _all_places(sources: Sequence[Source]) -> str:
    """Where values that do not fit together come from."""
    file, *changes = (source.place for source in sources)
    return f"{file} with {' '.join(changes)}" if changes else file


def _touches(values: object, parts: list[str]) -> bool:
    """Whether `values` sets the key, or puts something else where the keys around it would be."""
    for part in parts:
        if not isinstance(values, dict):
            return True
        if part not in values:
            return False
        values = values[part]
    return True


def _valid_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _valid_keys(field.annotation, f"{prefix}{name}.")
