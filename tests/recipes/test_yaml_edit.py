from pathlib import Path

import pytest

from petseg.config.overrides import flatten, parse_yaml
from petseg.recipes.yaml_edit import edited, line_numbers, one_line

PARAMS = (Path(__file__).resolve().parents[2] / "params.yaml").read_text()
TEXT = """# head

lr: 3.0e-3          # rate
name: 'a'
data:               # of data
  url:
    - x             # first
    - y
  path: null        # path

# before the last
last: true
"""


@pytest.mark.parametrize("text", [TEXT, PARAMS])
def test_what_is_not_changed_stays_to_the_byte(text):
    assert edited(text, {}) == text
    assert edited(text, flatten(parse_yaml(text, "x"))) == text


@pytest.mark.parametrize(
    ("key", "value", "old", "new"),
    [
        ("lr", 1e-5, "lr: 3.0e-3          #", "lr: 1e-05           #"),
        ("lr", 0.003, "", ""),  # as 3.0e-3
        ("name", "null", "name: 'a'", "name: 'null'"),
        ("data.path", "p: q", "path: null        #", "path: 'p: q'      #"),
        ("data.url", ["z"], "    - x             # first\n    - y\n", "    - z\n"),
        ("last", None, "last: true", "last: null"),
        ("new.key", 1, "last: true\n", "last: true\nnew:\n  key: 1\n"),
    ],
)
def test_a_value_is_changed_on_its_line(key, value, old, new):
    text = edited(TEXT, {key: value})
    assert text == TEXT.replace(old, new)
    assert flatten(parse_yaml(text, "x"))[key] == value


def test_lines_are_numbered_as_they_stand():
    lines = TEXT.splitlines()
    numbers = line_numbers(TEXT)
    assert {key: lines[at].split(":")[0].strip() for key, at in numbers.items()} == {
        key: key.rpartition(".")[2] for key in ("lr", "name", "data.url", "data.path", "last")
    }


@pytest.mark.parametrize(
    ("value", "text"), [(None, "null"), (True, "true"), (0.5, "0.5"), ("a b", "a b"), (["a", 1], '["a", 1]')]
)
def test_a_value_on_one_line(value, text):
    assert one_line(value) == text
