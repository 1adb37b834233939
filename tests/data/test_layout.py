"""The official layout: reading it, and an error for each way in which it can be wrong."""

from pathlib import Path

import pytest

from petseg.data import layout
from petseg.data.layout import Entry
from petseg.runtime.errors import DataError

TRAINVAL = ["Abyssinian_1 1 1 1", "american_bulldog_12 2 2 1", "Egyptian_Mau_3 10 1 5"]
TEST = ["Abyssinian_2 1 1 1"]


def write_raw(raw: Path, trainval: list[str] = TRAINVAL, test: list[str] = TEST) -> Path:
    """Writes lists, and an empty file for each image and trimap (these tests do not open them)."""
    (raw / "images").mkdir(parents=True)
    (raw / "annotations" / "trimaps").mkdir(parents=True)
    for name, lines in (("trainval.txt", trainval), ("test.txt", test)):
        (raw / "annotations" / name).write_text("".join(f"{line}\n" for line in lines))
        for line in lines:
            layout.image_path(raw, line.split()[0]).touch()
            layout.trimap_path(raw, line.split()[0]).touch()
    return raw


def error(raw: Path) -> str:
    with pytest.raises(DataError) as caught:
        layout.check(raw)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_lists_are_read_in_file_order(tmp_path):
    trainval, test = layout.check(write_raw(tmp_path))
    assert trainval == [
        Entry("Abyssinian_1", "Abyssinian", "cat"),
        Entry("american_bulldog_12", "american_bulldog", "dog"),
        Entry("Egyptian_Mau_3", "Egyptian_Mau", "cat"),
    ]
    assert test == [Entry("Abyssinian_2", "Abyssinian", "cat")]


def test_comments_blank_lines_byte_order_mark_and_windows_line_ends_are_skipped(tmp_path):
    write_raw(tmp_path)
    text = "\ufeff# NAME CLASS SPECIES BREED\r\n\r\n  \r\nAbyssinian_1 1 1 1\r\n # Abyssinian_2 1 1 1\r\n"
    (tmp_path / "annotations" / "trainval.txt").write_bytes(text.encode())
    trainval, _ = layout.read_lists(tmp_path)
    assert [entry.name for entry in trainval] == ["Abyssinian_1"]


def test_a_name_without_number_has_no_breed(tmp_path):
    trainval, _ = layout.check(write_raw(tmp_path, ["rex 1 0 1", "Main.Coon-x_y_007 1 1 1"]))
    assert [(entry.breed, entry.species) for entry in trainval] == [("unknown", "unknown"), ("Main.Coon-x_y", "cat")]


@pytest.mark.parametrize("name", ["trainval.txt", "test.txt"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "does not exist"), (b"# x\n\n", "lists no image"), (b"\xff\xfe\x00pug", "cannot be read as text")],
)
def test_missing_empty_and_binary_lists(tmp_path, name, content, reason):
    path = write_raw(tmp_path) / "annotations" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert error(tmp_path).startswith(f"{path} {reason}")


@pytest.mark.parametrize(
    "line",
    [
        *(f"pug_1{numbers}" for numbers in ("", " 1 2", " 1 3 1", " a 1 1", " 1 1 1 1", ",1,1,1")),
        *(f"{name} 1 1 1" for name in ("my pug_1", "../pug_1", "a/pug_1", "._pug_1")),
    ],
)
def test_a_malformed_line_is_named_by_its_number(tmp_path, line):
    path = write_raw(tmp_path) / "annotations" / "test.txt"
    path.write_text(f"# comment\nAbyssinian_2 1 1 1\n{line}\n")
    assert error(tmp_path).startswith(f"{path}, line 3 is {line!r}")


@pytest.mark.parametrize(
    ("trainval", "test", "sentence"),
    [
        (["pug_1 1 2 1", "pug_2 1 2 1", "pug_1 1 2 1"], TEST, "{0}/trainval.txt lists pug_1 twice, in lines 1 and 3"),
        ([*TRAINVAL, "pug_7 1 2 1"], ["pug_7 1 2 1"], "pug_7 is in {0}/trainval.txt and in {0}/test.txt"),
        (TRAINVAL, TRAINVAL[::-1], "Abyssinian_1 (and 2 more) is in {0}/trainval.txt and in {0}/test.txt"),
    ],
)
def test_a_name_twice(tmp_path, trainval, test, sentence):
    assert error(write_raw(tmp_path, trainval, test)).startswith(sentence.format(tmp_path / "annotations"))


@pytest.mark.parametrize(
    ("name", "path_of", "list_name"),
    [
        ("american_bulldog_12", layout.trimap_path, "trainval.txt"),
        ("american_bulldog_12", layout.image_path, "trainval.txt"),
        ("Abyssinian_2", layout.image_path, "test.txt"),
    ],
)
def test_missing_files_of_a_listed_image(tmp_path, name, path_of, list_name):
    missing = path_of(write_raw(tmp_path), name)
    missing.unlink()
    cure = f"add it, or remove {name} from {tmp_path}/annotations/{list_name}."
    assert error(tmp_path) == f"{missing} does not exist; {cure}"
