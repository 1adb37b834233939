"""Names of imported images."""

import pytest

from petseg.importing.names import Old, assign, clean


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("my cat", "my_cat"),
        ("gro\u0308ße", "größe"),
        ("#1", "1"),
        (".a", "a"),
        ("a\\b", "a_b"),
        ("a\u200bb", "a_b"),
        ("##", "image"),
        ("a\u00a0 b", "a_b"),
    ],
)
def test_names_that_a_list_can_hold(text: str, name: str) -> None:
    assert clean(text) == name


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([("rex_1", ()), ("tom", ())], ["rex_1", "tom"]),
        ([("dog_7", ("dog",)), ("DOG_8", ("dog",)), ("1", ("cat",))], ["dog_7", "dog_8", "cat_1"]),
        ([("tom", ("cat",)), ("rex", ("dog",)), ("cat_1", ("cat",))], ["cat_1", "dog_1", "cat_2"]),
        ([("a_1", ("all", "in one")), ("b", ("all", "in one"))], ["a_1", "b"]),
        ([("1", ("x", "pug")), ("1", ("x", "old manx")), ("1", ("x",))], ["pug_1", "old_manx_1", "1"]),
        ([("1", ()), ("1", ()), ("1", ())], ["1", "1-2", "1-3"]),
        ([("cat_1", ()), ("Cat_1", ()), ("cat_2", ()), ("cat_1", ())], ["cat_1", "Cat_3", "cat_2", "cat_4"]),
    ],
)
def test_groups_become_breeds_and_names_are_unique(old: list, new: list[str]) -> None:
    assert assign([Old(name, group, None) for name, group in old]) == new


def test_pages_are_numbered() -> None:
    assert assign([Old("stack", (), page) for page in (0, 11)] + [Old("one", (), None)]) == [
        "stack_01",
        "stack_12",
        "one",
    ]
