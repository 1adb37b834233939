"""Editing YAML, compared with how DVC edits it."""

import pytest
from dvc.utils.serialize import modify_yaml

from petseg.config.overrides import flatten, parse_yaml
from petseg.recipes.yaml_edit import edited
from support.paths import COMMITTED

PARAMS = COMMITTED.read_text()
TEXT = """# head

lr: 3.0e-3          # rate
name: a
data:               # of data
  url:
  - x               # first
  - y
  path:             # path

# before the last
last: true
"""


def test_unchanged_text_stays_the_same_to_the_byte():
    for text in (TEXT, PARAMS):
        assert edited(text, {}) == text
        assert edited(text, flatten(parse_yaml(text, "x"))) == text


@pytest.mark.parametrize(
    ("key", "value", "old", "new"),
    [
        ("lr", 1e-5, "lr: 3.0e-3          #", "lr: 1e-05           #"),
        ("lr", 0.003, "", ""),  # equals 3.0e-3
        ("name", "null", "name: a", "name: 'null'"),
        ("data.path", "p: q", "path:             #", "path: 'p: q'      #"),
        ("data.url", ["z"], "  - x               # first\n  - y\n", "  - z\n"),
        ("last", None, "last: true", "last:"),
        ("new.key", 1, "last: true\n", "last: true\nnew:\n  key: 1\n"),
    ],
)
def test_one_value_changes_one_line(key, value, old, new):
    text = edited(TEXT, {key: value})
    assert text == TEXT.replace(old, new)
    assert flatten(parse_yaml(text, "x"))[key] == value


EDITS = {"lr": 1e-5, "train.clip": 1.0, "unet.lr": 1e-4, "resnet34_unet.lr": None, "data.url": ["file:///a b", "c"]}
EDITS |= {"data.path": "it's: here", "train.deterministic": False, "unet.width": 8, "resnet34_unet.decoder_width": 32}


def test_edits_of_the_committed_file_give_the_bytes_that_dvc_writes(tmp_path):
    (tmp_path / "params.yaml").write_text(PARAMS)
    with modify_yaml(tmp_path / "params.yaml") as document:
        for key, value in EDITS.items():
            *sections, last = key.split(".")
            section = document[sections[0]] if sections else document
            section[last] = value
    assert edited(PARAMS, EDITS) == (tmp_path / "params.yaml").read_text()
