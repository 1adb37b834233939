"""YAML 1.2 as DVC reads it, where PyYAML reads YAML 1.1: `1e-05` is a number, `010` is ten, `yes` is text."""

import re
from typing import Any, ClassVar

import yaml


class YamlError(ValueError):
    """The text is not YAML; says in which line and why."""


class _Loader(yaml.SafeLoader):
    """The core schema of YAML 1.2, section 10.3.2, and no key twice."""

    yaml_implicit_resolvers: ClassVar[dict] = {}  # those of YAML 1.1 are not taken over

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is there twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        text = node.value.replace("_", "")  # 1_000, which is YAML 1.1, is DVC's way too
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def parse(text: str) -> Any:
    """Python values of a YAML text.

    Raises:
        YamlError: it is not YAML, or has a key twice.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise YamlError(f"not valid YAML{line}: {getattr(error, 'problem', None) or error}") from None
