"""Changing values in a YAML text that people wrote: comments, order, quotes and number formats stay.

By ruamel.yaml, with which DVC too edits params.yaml; two settings more keep `null` and the indentation of lists.
"""

import io
import json
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap


def edited(text: str, leaves: dict[str, Any]) -> str:
    """The text with the values of `leaves`, whose keys are dotted; those that are so already stay as written."""
    yaml = _yaml()
    document = yaml.load(text)
    for key, value in leaves.items():
        *sections, last = key.split(".")
        section = document
        for part in sections:
            section = section.setdefault(part, CommentedMap())
        if last not in section or section[last] != value:
            section[last] = value
    written = io.StringIO()
    yaml.dump(document, written)
    return written.getvalue()


def line_numbers(text: str) -> dict[str, int]:
    """The line, from 0, on which each dotted key stands."""
    return dict(_lines(_yaml().load(text), ""))


def _lines(section: CommentedMap, prefix: str) -> Iterator[tuple[str, int]]:
    for key, value in section.items():
        if isinstance(value, CommentedMap):
            yield from _lines(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", section.lc.key(key)[0]


def one_line(value: Any) -> str:
    """A value as YAML, to be read by people."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096  # no line is broken
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml
