"""Editing values in a YAML text; comments, order and number formats are kept.

Uses ruamel.yaml with its default settings, as DVC does, so that editing params.yaml here and by `dvc exp run -S` gives
the same bytes.
"""

import io
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
