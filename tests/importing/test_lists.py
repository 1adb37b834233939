"""Lists from folders and from lists."""

from pathlib import Path

import pytest

from petseg.importing import lists
from petseg.importing.lists import Listed, assemble, interleave
from petseg.runtime.errors import DataError

NONE = "0 0 0"


def write(folder: Path, **texts: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.txt" for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text)
    return paths


def test_the_lists_that_name_most_images_are_read(tmp_path: Path) -> None:
    texts = write(tmp_path / "Main", train="a\n")
    texts += write(
        tmp_path / "Segmentation", trainval="a\nb\nc\n", train="a\nb.png\n", val="# none\nJPEGImages/c.jpg\nx"
    )
    texts += write(tmp_path, README="a b c", test="nothing known")
    found = lists.read(texts, {"a", "b", "c"})
    assert found == (
        tmp_path / "Segmentation",
        [Listed("a", "train", NONE), Listed("b", "train", NONE), Listed("c", "valid", NONE)],
    )
    assert lists.read(write(tmp_path / "other", notes="a"), {"a"}) is None
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe\x00")
    assert lists.read([tmp_path / "train.txt"], {"a"}) is None


def test_official_lists_keep_their_numbers(tmp_path: Path) -> None:
    texts = write(tmp_path, trainval="b 5 2 3\na 1 1\n", test="c 6 1 4")
    assert lists.read(texts, {"a", "b", "c"}) == (
        tmp_path,
        [Listed("b", "train", "5 2 3"), Listed("a", "train", NONE), Listed("c", "test", "6 1 4")],
    )


def test_an_image_in_two_lists_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^a is in the lists of train and test in .*; remove it from one"):
        lists.read(write(tmp_path, train="a\nb", test="c\na"), {"a", "b", "c"})


def split_of(train: int = 0, valid: int = 0, test: int = 0, unknown: int = 0) -> dict[int, str]:
    names = ["train"] * train + ["valid"] * valid + ["test"] * test + [""] * unknown
    return dict(enumerate(names))


def test_validation_images_are_every_tenth_line() -> None:
    found = assemble(split_of(18, 2, 3))
    assert found.trainval[::10] == [18, 19]
    assert sorted(found.trainval) == list(range(20))
    assert found.test == [20, 21, 22]
    assert "2 of 2 validation images stay so" in found.text
    assert "trainval.txt has 20 lines, test.txt 3" in found.text


@pytest.mark.parametrize(
    ("train", "valid", "said"),
    [
        (9, 4, "2 of 4 validation images stay so (every tenth line of trainval.txt), 2 are trained on;"),
        (39, 1, "1 of 1 validation images stay so (every tenth line of trainval.txt), 3 training images join them;"),
        (0, 3, "1 of 3 validation images stay so"),
    ],
)
def test_more_or_fewer_validation_images_than_a_tenth(train: int, valid: int, said: str) -> None:
    found = assemble(split_of(train, valid, 2))
    assert said in found.text
    assert sorted(found.trainval) == list(range(train + valid))
    kept = [i for i in found.trainval[::10] if i >= train]
    assert kept == list(range(train, train + len(kept)))


def test_without_a_test_split_the_validation_images_are_tested_on() -> None:
    found = assemble(split_of(5, 3))
    assert (found.trainval, found.test) == ([0, 1, 2, 3, 4], [5, 6, 7])
    assert found.text.startswith("there is no test split with masks, so the validation images become test.txt")


@pytest.mark.parametrize("sizes", [(5, 0, 0), (0, 0, 5), (0, 4, 0), (0, 0, 0, 6)])
def test_one_split_alone_gives_no_lists(sizes: tuple) -> None:
    assert assemble(split_of(*sizes))[:2] == ([], [])


def test_images_in_no_list_are_counted() -> None:
    found = assemble(split_of(5, 0, 3, 2))
    assert "2 images in neither list stay unused" in found.text
    assert sorted(found.trainval + found.test) == list(range(8))


def test_interleaving_loses_nothing() -> None:
    for train in range(25):
        for valid in range(25):
            found = interleave(range(train), range(100, 100 + valid))
            assert sorted(found) == [*range(train), *range(100, 100 + valid)]
            places = -(-(train + valid) // 10)
            assert sum(i >= 100 for i in found[::10]) >= min(valid, places)
