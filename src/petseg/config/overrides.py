"""Parameters before they are typed: the nested values of params.yaml, of a recipe and of `-S key=value`.

Each source remembers where its values were read, so that an error can name the place. YAML is read as version 1.2, as
by DVC; PyYAML alone reads version 1.1: `1e-05` is a number, `010` is ten, `yes` is text.
"""

import difflib
import re
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import yaml
from pydantic import BaseModel, ValidationError

from petseg.runtime.errors import ParamsError

DEFAULT = "default"  # the recipe that changes nothing
MOST_LEVELS = 20  # of nesting; params.yaml has four
TOO_DEEP = f"is nested more than {MOST_LEVELS} levels deep, or contains itself; remove the nesting."

_short = reprlib.Repr()  # of values in error messages
_short.maxstring = _short.maxother = 60
_short.maxlong = 20


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
        raise ParamsError(f"{_short.repr(text)} is not an override; write key=value, for example lr=1e-4.")
    place = f"-S {_printable(text)}"
    nested = parse_yaml(value, place)
    for part in reversed(key.strip().split(".")):
        nested = {part: nested}
    return Source(place, nested)


def _printable(text: str) -> str:
    """The text on one line of at most 80 characters."""
    line = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text[:81])
    return line if len(line) <= 80 else f"{line[:60]}..."


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


def hydra(value: Any) -> str:
    """A value in the override grammar of Hydra, which `dvc exp run -S` takes; strings are quoted."""
    if isinstance(value, list):
        return f"[{','.join(map(hydra, value))}]"
    if isinstance(value, str):
        # Backslashes count as escapes only before a quote, and there each one must be doubled.
        escaped = re.sub(r"(\\*)('|\Z)", lambda found: 2 * found[1] + found[2].replace("'", "\\'"), value)
        return f"'{escaped}'"
    return "null" if value is None else str(value).lower()


def sentence(error: ValidationError, sources: Sequence[Source], model: type[BaseModel]) -> str:
    """Turns pydantic's complaint about `combine(sources)` into one sentence that begins with the place.

    An unknown key comes first, since it often explains a missing one.
    """
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    key, file = ".".join(part for part in first["loc"] if isinstance(part, str)), sources[0].place
    shown, value = _printable(key), _short.repr(first["input"])
    if first["type"] == "missing":
        return f"{file}: {key} is missing; add it; `git diff` shows what was removed."
    if first["type"] == "value_error":  # values that contradict each other
        changes = " ".join(each.place for each in sources[1:])
        places = f"{file} with {changes}" if changes else file
        return f"{places}: {first['ctx']['error']}."  # pyright: ignore[reportTypedDictNotRequiredAccess]
    place = next((each.place for each in reversed(sources) if _sets(each.values, key)), file)
    if first["type"] == "extra_forbidden":
        return f"{place}: {shown} is not a parameter; {_offer(key, list(_valid_keys(model)))}."
    if first["type"] == "model_type":
        return f"{place}: {shown} is {value}, but it is a section with keys of its own."
    return f"{place}: {shown} is {value}: {first['msg'][0].lower()}{first['msg'][1:]}."


def _sets(values: dict, key: str) -> bool:
    """Whether `values` sets the dotted key, a key below it, or something else in place of a section around it."""
    return any(f"{each}.".startswith(f"{key}.") or f"{key}.".startswith(f"{each}.") for each in flatten(values))


def _offer(key: str, valid: Sequence[str]) -> str:
    """The valid key whose last part resembles that of `key`, if possible of the same section; else all keys of that."""
    section, _, last = key.rpartition(".")
    in_section = {each.rpartition(".")[2]: each for each in valid if each.rpartition(".")[0] == section}
    anywhere = {each.rpartition(".")[2]: each for each in reversed(valid)}
    for keys in (in_section, anywhere):
        if near := difflib.get_close_matches(last, keys, n=1):
            return f"the nearest one is {keys[near[0]]}"
    return f"{section or 'the file'} has {', '.join(in_section)}"


def _valid_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _valid_keys(field.annotation, f"{prefix}{name}.")


class _Loader(yaml.SafeLoader):
    """The core schema of YAML 1.2, section 10.3.2. All keys are text; one that occurs twice is an error."""

    yaml_implicit_resolvers: ClassVar[dict] = {}  # without the resolvers of YAML 1.1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        values = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be text", key.start_mark)
            if str(key.value) in values:
                twice = f"{_printable(key.value)} occurs twice"
                raise yaml.constructor.ConstructorError(None, None, twice, key.start_mark)
            values[str(key.value)] = self.construct_object(value, deep=deep)
        return values


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    if len(node.value) > 1000:  # Python's limit is 4300 digits
        reason = f"a number has {len(node.value)} digits"
        raise yaml.constructor.ConstructorError(None, None, reason, node.start_mark)
    return int(node.value, 0 if node.value[:2] in ("0o", "0x") else 10)  # 1_000 is a number for DVC and for `int`, too


def _construct_str(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    if "\0" in node.value:  # no path may hold one
        raise yaml.constructor.ConstructorError(None, None, "a text contains a NUL byte", node.start_mark)
    return node.value


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:str", _construct_str)
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+(_[0-9]+)*|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


_CLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class FastLoader(_CLoader):
    """Reads the same YAML 1.2 ten times as fast, if libyaml is there: 1 ms for params.yaml.

    For files of a commit, which were valid once: deep nesting ends the process, and errors have other words.
    """

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


FastLoader.add_constructor("tag:yaml.org,2002:int", _construct_int)


def parse_yaml(text: str, place: str) -> Any:
    """Python values of a YAML 1.2 text, which comes from `place`.

    Raises:
        ParamsError: the text is not YAML, a key occurs twice, or a value is nested too deeply or contains itself.
    """
    try:
        values = yaml.load(text, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        reason = f"the character {error.character:#06x} is not allowed"
        raise ParamsError(f"{place} is not valid YAML, line {line}: {reason}.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or error
        raise ParamsError(f"{place} is not valid YAML{line}: {reason}.") from None
    except (AttributeError, LookupError, TypeError, ValueError):  # PyYAML raises them for `!!bool x` and the like
        raise ParamsError(f"{place} is not valid YAML: a value does not fit its tag; remove the tag.") from None
    except RecursionError:
        raise ParamsError(f"{place} {TOO_DEEP}") from None
    _check_depth(values, place)
    return values


def _check_depth(values: Any, place: str) -> None:
    """Raises ParamsError if `values` are nested too deeply; through an alias they may even contain themselves."""
    level = [values]
    for _ in range(MOST_LEVELS):
        # By identity, since aliases may repeat a value many times in each level.
        level = list({id(child): child for each in level for child in _children(each)}.values())
    if level:
        raise ParamsError(f"{place} {TOO_DEEP}")


def _children(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
