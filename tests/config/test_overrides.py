"""YAML is read as DVC reads it, by version 1.2."""

import pytest
from dvc.utils.serialize import YAMLFileCorruptedError
from dvc.utils.serialize import parse_yaml as dvc_parse_yaml

from petseg.config.overrides import parse_yaml
from petseg.runtime.errors import ParamsError

NUMBERS = "1 -1 +1 010 0o10 0x1f 1_000 1e-4 1e-05 1E5 2.5e-4 .5 5. 1.0 -0.25 .inf -.inf 1:30 1e 1e+ 0o9"
WORDS = "yes no on off true True FALSE null Null ~ text 2012-01-01 abc123"
SCALARS = NUMBERS.split() + WORDS.split()


@pytest.mark.parametrize("text", SCALARS)
def test_scalars_are_read_as_dvc_reads_them(text):
    line = f"key: {text} # comment"
    ours, dvcs = parse_yaml(line, "x")["key"], dvc_parse_yaml(line, "x")["key"]
    if text == "2012-01-01":  # ruamel.yaml reads a date, which YAML 1.2 does not have; no parameter is one
        dvcs = str(dvcs)
    assert ours == dvcs
    assert isinstance(ours, type(dvcs)) or isinstance(dvcs, type(ours))


def test_an_empty_value_is_null_and_quoted_numbers_are_text():
    assert parse_yaml("a:\nb: '1e-4'\nc: [1, 1e-4, yes]", "x") == {"a": None, "b": "1e-4", "c": [1, 1e-4, "yes"]}


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3", "a: {b: 1, b: 2}"])
def test_a_key_that_occurs_twice_is_an_error_as_in_dvc(text):
    with pytest.raises(YAMLFileCorruptedError):
        dvc_parse_yaml(text, "x")
    with pytest.raises(ParamsError, match="occurs twice"):
        parse_yaml(text, "x")
