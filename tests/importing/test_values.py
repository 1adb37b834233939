"""What the values of masks mean."""

from dataclasses import replace

import numpy as np
import pytest

from petseg.importing import values
from petseg.importing.reading import Seen
from petseg.importing.values import Meaning, Table
from petseg.runtime.errors import DataError


def table(*masks: dict[int, int], color: bool = False, lossy: bool = False, labels: tuple = ()) -> Table:
    kind = "color" if color else "numbers"
    return values.collect([Seen(kind, counts, lossy=lossy) for counts in masks], color, labels)


def numbers(*found: int) -> Table:
    """One mask with many pixels of 0 and a few of each other value."""
    return table({value: 1000 if value == 0 else 10 for value in found})


def decide(of: Table, pet: str | None = None, colors: tuple = (), threshold: int | None = None) -> Meaning | None:
    return values.decide(of, pet, colors, threshold)


@pytest.mark.parametrize(
    ("found", "pet", "border", "is_guess"),
    [
        ((0, 255), {255}, set(), False),
        ((0, 1), {1}, set(), False),
        ((0, 65535), {65535}, set(), False),
        ((1, 2, 3), {1}, {3}, False),
        ((1, 3), {1}, {3}, False),
        ((1, 2), {1}, {3}, True),
        ((0, 128, 255), {255}, {128}, True),
        ((0, 127, 255), {255}, {127}, True),
        ((0, 38), {38}, set(), True),
    ],
)
def test_values_that_are_known(found: tuple, pet: set, border: set, is_guess: bool) -> None:
    meaning = decide(numbers(*found))
    assert meaning is not None
    assert (meaning.pet, meaning.border, meaning.ignored, meaning.threshold) == (pet, border, set(), None)
    assert bool(meaning.guess) == is_guess
    assert not is_guess or "--pet" in meaning.guess


@pytest.mark.parametrize("found", [(0,), (255,), (1,), (2,), (0, 1, 2), (0, 1, 2, 3), (0, 5, 9, 255), tuple(range(34))])
def test_values_that_the_user_must_explain(found: tuple) -> None:
    assert decide(numbers(*found)) is None


def test_one_class_and_ignored_pixels_or_two_encodings() -> None:
    together = decide(table({0: 90, 1: 5, 255: 5}))
    apart = decide(table({0: 90, 1: 10}, {0: 90, 255: 10}))
    assert together is not None
    assert apart is not None
    assert (together.pet, together.ignored) == ({1}, {255})
    assert (apart.pet, apart.ignored) == ({1, 255}, set())
    assert together.guess
    assert apart.guess


def test_soft_edges_are_cut_and_class_numbers_never() -> None:
    edges = dict.fromkeys(range(20, 240, 10), 1)
    soft = decide(table({0: 900, 255: 100, **edges}))
    assert soft is not None
    assert soft.threshold == 128
    assert "--threshold" in soft.guess
    wide = decide(table({0: 900, 65535: 100, **{value * 257: 1 for value in edges}}))
    assert wide is not None
    assert wide.threshold == 128 * 257
    blurred = decide(table({0: 800, 3: 90, 250: 50, 255: 50, 130: 4}, lossy=True))
    assert blurred is not None
    assert blurred.threshold == 128
    classes = dict.fromkeys(range(150), 10)
    assert decide(table({**classes, 0: 900, 255: 30})) is None  # with a band of ignored pixels
    assert decide(table({0: 900, 15: 20, 255: 80})) is None


def test_the_user_chooses_numbers() -> None:
    of = numbers(0, 5, 9, 15, 255)
    for text, pet, ignored in (("5,9", {5, 9}, {255}), ("all", {5, 9, 15}, {255}), ("255, 5", {5, 255}, set())):
        meaning = decide(of, pet=text)
        assert meaning is not None
        assert (meaning.pet, meaning.ignored) == (pet, ignored)
    huge = decide(numbers(0, 26001, 2**40), pet="all")
    assert huge is not None
    assert huge.pet == {26001, 2**40}
    inverted = decide(numbers(0, 255), pet="0")
    assert inverted is not None
    assert (inverted.pet, inverted.ignored) == ({0}, set())


def test_the_user_chooses_colors() -> None:
    of = table({0: 900, 0x800000: 50, 0x008000: 50, values.VOID: 5}, color=True)
    assert decide(of) is None
    meaning = decide(of, colors=("#800000", "green"))
    assert meaning is not None
    assert (meaning.pet, meaning.ignored) == ({0x800000, 0x008000}, {values.VOID})
    everything = decide(of, pet="all")
    assert everything is not None
    assert everything.pet == {0x800000, 0x008000}
    single = decide(table({0: 900, 0x800000: 50}, color=True))
    assert single is not None
    assert single.pet == {0x800000}
    assert "--pet-color" in single.guess


def test_the_user_chooses_labels() -> None:
    of = table({0: 90, 1: 5, 2: 5}, labels=("cat", "dog"))
    assert decide(of) is None
    for text, pet in (("dog", {2}), ("all", {1, 2}), ("dog, cat", {1, 2})):
        meaning = decide(of, pet=text)
        assert meaning is not None
        assert meaning.pet == pet
    assert decide(table({0: 90, 1: 5}, labels=("cat",))) == Meaning(frozenset({1}))


COLORED = table({0: 1, 0xFF: 1}, color=True)
LABELED = table({0: 1, 1: 1}, labels=("cat",))


@pytest.mark.parametrize(
    ("of", "options", "sentence"),
    [
        (numbers(0, 5), {"pet": "6"}, "No mask holds 6, chosen as pet; the masks hold 0, 5."),
        (numbers(0, 5), {"pet": "9" * 400}, f"No mask holds {'9' * 20}, chosen"),
        (numbers(0, 5), {"pet": "cat"}, "--pet is 'cat'; give class numbers"),
        (numbers(0, 5), {"pet": ""}, "--pet is ''; give class numbers"),
        (numbers(0, 5), {"threshold": 0}, "--threshold is 0; it must be 1 to 255."),
        (numbers(0, 5), {"threshold": 256}, "--threshold is 256; it must be 1 to 255."),
        (numbers(0, 5), {"colors": ("blurple",)}, "--pet-color is 'blurple'; give a color"),
        (numbers(0, 5), {"pet": "5", "threshold": 5}, "Of --pet, --pet-color and --threshold, give one."),
        (
            COLORED,
            {"pet": "8"},
            "The masks are colored, so --pet 8 does not fit; use --pet-c",
        ),
        (
            COLORED,
            {"threshold": 8},
            "The masks are colored, so --threshold does not fit; use",
        ),
        (
            COLORED,
            {"colors": ("red",)},
            "No mask holds #ff0000, chosen as pet; the masks",
        ),
        (
            replace(COLORED, lossy=True),
            {"colors": ("blue",)},
            "The masks are JPEG files, whose colors",
        ),
        (
            LABELED,
            {"pet": "dog"},
            "No annotation has the label 'dog'; --pet takes all, or",
        ),
        (LABELED, {"threshold": 1}, "Annotations have labels; choose with --pet"),
    ],
)
def test_options_that_do_not_fit(of: Table, options: dict, sentence: str) -> None:
    with pytest.raises(DataError) as error:
        decide(of, **options)
    assert str(error.value).startswith(sentence)


def test_ignored_pixels_near_a_pet_are_border() -> None:
    numbers = np.zeros((40, 40), np.int64)
    numbers[10:20, 10:20] = 8
    numbers[:, 20:] = 255
    found = values.trimap(numbers, Meaning(frozenset({8}), ignored=frozenset({255})))
    expected = np.full((40, 40), 2)
    expected[10:20, 10:20] = 1
    expected[10 - values.BAND : 20 + values.BAND, 20 : 20 + values.BAND] = 3
    np.testing.assert_array_equal(found, expected)


def test_values_become_trimaps() -> None:
    row = np.array([[0, 127, 128, 255]])
    assert values.trimap(row, Meaning(threshold=128)).tolist() == [[2, 2, 1, 1]]
    assert values.trimap(row, Meaning(frozenset({255}), frozenset({128}))).tolist() == [[2, 2, 3, 1]]
    assert values.trimap(row, Meaning(frozenset({0, 127}))).tolist() == [[1, 1, 2, 2]]


def test_colors_are_needed_for_colored_masks_and_changing_palettes() -> None:
    plain, red = Seen("numbers", {0: 1}), Seen("palette", {1: 1}, {1: 0xFF0000})
    assert not values.need_color([plain, red, red])
    assert values.need_color([red, Seen("palette", {1: 1}, {1: 0x00FF00})])
    assert values.need_color([plain, Seen("color", {0xFF0000: 1})])


def test_the_table_shows_what_becomes_of_the_values() -> None:
    of = table({0: 90, 5: 8, 255: 2}, {0: 100})
    assert [line.split() for line in of.text(decide(of, pet="5")).splitlines()][:3] == [
        ["value", "pixels", "masks", "becomes"],
        ["0", "95.00%", "2", "background"],
        ["5", "4.00%", "1", "pet"],
    ]
    assert of.text(None).splitlines()[2].split() == ["5", "4.00%", "1", "?"]
    assert "and 76 more values" in numbers(*range(100)).text(None)
    rows = [line.split() for line in of.text(Meaning(threshold=5)).splitlines()[1:]]
    assert rows == [["0", "to", "4", "95.00%", "background"], ["5", "to", "255", "5.00%", "pet"]]
