"""Editing values in a YAML text; comments, order and number formats are kept.

Uses ruamel.yaml with its default settings, as DVC does, so that editing params.yaml here and by `dvc exp run -S` gives
the same bytes.
"""

import io
import json
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap


def edited(text: str, leaves: dict[str, Any]) -> str:
    """Returns the text with new values.

    Args:
        text: YAML, with a mapping at the top.
        leaves: values by dotted key. A value that is already there keeps its notation, such as `3.0e-3`.
    """
    document = YAML().load(text)
    for key, value in leaves.items():
        *sections, last = key.split(".")
        section = document
        for name in sections:
            section = section.setdefault(name, CommentedMap())
        if last not in section or section[last] != value:
            section[last] = value
    written = io.StringIO()
    YAML().dump(document, written)
    return written.getvalue()


def line_numbers(text: str) -> dict[str, int]:
    """The line of each dotted key that has a value, counted from 0."""
    return dict(_lines(YAML().load(text), ""))


def _lines(section: CommentedMap, prefix: str) -> Iterator[tuple[str, int]]:
    for key, value in section.items():
        if isinstance(value, CommentedMap):
            yield from _lines(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", section.lc.key(key)[0]


def one_line(value: Any) -> str:
    """A value as YAML on one line, for display."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
