"""Parameters before they are typed: the nested values of params.yaml, of a recipe and of `-S key=value`.

Each source remembers where its values were read, so that an error can name the place. YAML is read as version 1.2, as
by DVC; PyYAML alone reads version 1.1: `1e-05` is a number, `010` is ten, `yes` is text.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import yaml
from pydantic import BaseModel, ValidationError

from petseg.runtime.errors import ParamsError

DEFAULT = "default"  # the recipe that changes nothing


class Source(NamedTuple):
    """Some keys with their values, and the place they come from: the path of a file, or `-S key=value`."""

    place: str
    values: dict[str, Any]


def read(path: Path) -> Source:
    """Reads the keys of a YAML file.

    Raises:
        ParamsError: the file is missing, is not text or not YAML, or has no keys.
    """
    return parse(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Reads a text file; raises the ParamsError of `read`."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParamsError(f"{path} does not exist; run this from the top folder of the project.") from None
    except (UnicodeDecodeError, OSError) as error:
        raise ParamsError(f"{path} cannot be read as text: {error}.") from None


def parse(text: str, place: str) -> Source:
    """Reads the keys of a YAML text; raises the ParamsError of `read`."""
    values = parse_yaml(text, place)
    if not isinstance(values, dict):
        raise ParamsError(f"{place} has no keys; it must be a list of `key: value` lines.")
    return Source(place, values)


def override(text: str) -> Source:
    """Reads `key=value`, with a dotted key and a YAML value; raises ParamsError if the text has another form."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ParamsError(f"{text!r} is not an override; write key=value, for example lr=1e-4.")
    nested = parse_yaml(value, text)
    for part in reversed(key.strip().split(".")):
        nested = {part: nested}
    return Source(f"-S {text}", nested)


def recipe_names(folder: Path) -> list[str]:
    """The recipes of a project: `default`, and each file in its folder recipes/."""
    return [DEFAULT, *sorted(path.stem for path in (folder / "recipes").glob("*.yaml"))]


def recipe_path(folder: Path, name: str) -> Path:
    """The file of recipe `name`, which is not `default`.

    Raises:
        ParamsError: there is no such recipe; the sentence offers the nearest name, or all.
    """
    path, names = folder / "recipes" / f"{name}.yaml", recipe_names(folder)
    if name not in names[1:]:
        near = difflib.get_close_matches(name, names, n=1)
        offer = f"the nearest recipe is {near[0]}" if near else f"the recipes are {', '.join(names)}"
        raise ParamsError(f"{path} does not exist; {offer}.")
    return path


def combine(sources: Sequence[Source]) -> dict[str, Any]:
    """Merges all keys; where several sources have a key, the last one wins."""
    return reduce(_merge, (source.values for source in sources), {})


def _merge(values: dict, changes: dict) -> dict:
    merged = dict(values)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def flatten(values: dict, prefix: str = "") -> dict[str, Any]:
    """The same values under dotted keys; lists stay whole."""
    leaves: dict[str, Any] = {}
    for key, value in values.items():
        leaves |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return leaves


def sentence(error: ValidationError, sources: Sequence[Source], model: type[BaseModel]) -> str:
    """Turns pydantic's complaint about `combine(sources)` into one sentence that begins with the place.

    An unknown key comes first, since it often explains a missing one.
    """
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    key, file = ".".join(part for part in first["loc"] if isinstance(part, str)), sources[0].place
    if first["type"] == "missing":
        return f"{file}: {key} is missing; add it; `git diff` shows what was removed."
    if first["type"] == "value_error":  # values that contradict each other
        changes = " ".join(each.place for each in sources[1:])
        places = f"{file} with {changes}" if changes else file
        return f"{places}: {first['ctx']['error']}."  # pyright: ignore[reportTypedDictNotRequiredAccess]
    place = next((each.place for each in reversed(sources) if _sets(each.values, key)), file)
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, list(_valid_keys(model)), n=1, cutoff=0.0)[0]
        return f"{place}: {key} is not a parameter; the nearest one is {near}."
    if first["type"] == "model_type":
        return f"{place}: {key} is {first['input']!r}, but it is a section with keys of its own."
    return f"{place}: {key} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}."


def _sets(values: dict, key: str) -> bool:
    """Whether `values` sets the dotted key, a key below it, or something else in place of a section around it."""
    return any(f"{each}.".startswith(f"{key}.") or f"{key}.".startswith(f"{each}.") for each in flatten(values))


def _valid_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _valid_keys(field.annotation, f"{prefix}{name}.")


class _Loader(yaml.SafeLoader):
    """The core schema of YAML 1.2, section 10.3.2. All keys are text; one that occurs twice is an error."""

    yaml_implicit_resolvers: ClassVar[dict] = {}  # without those of YAML 1.1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        values = {}
        for key, value in node.value:
            if str(key.value) in values:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} occurs twice", key.start_mark)
            values[str(key.value)] = self.construct_object(value, deep=deep)
        return values


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(node.value, 0 if node.value[:2] in ("0o", "0x") else 10)  # 1_000 is a number for DVC and for `int`, too


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+(_[0-9]+)*|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def parse_yaml(text: str, place: str) -> Any:
    """Python values of a YAML 1.2 text, which comes from `place`.

    Raises:
        ParamsError: the text is not YAML, or a key occurs twice.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or error
        raise ParamsError(f"{place} is not valid YAML{line}: {reason}.") from None
