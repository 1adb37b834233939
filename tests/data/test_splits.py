"""The split rules and data/splits.csv."""

import random
from collections import Counter

import pytest

from petseg.data import layout, splits
from petseg.data.layout import Entry
from petseg.runtime.errors import DataError
from support.paths import real_data


def entries(counts: dict[str, int], first: int = 0) -> list[Entry]:
    return [Entry(f"{breed}_{first + i}", breed, "cat") for breed, count in counts.items() for i in range(count)]


def names(rows: list[splits.Row], split: str) -> list[str]:
    return [entry.name for entry, name in rows if name == split]


def test_report_takes_every_tenth_line_from_the_first():
    trainval, test = entries({"pug": 23}), entries({"pug": 3}, first=100)
    rows = splits.split(trainval, test, "report", seed=5)
    assert names(rows, "valid") == ["pug_0", "pug_10", "pug_20"]
    assert names(rows, "train") == [f"pug_{i}" for i in range(23) if i % 10]
    assert names(rows, "test") == ["pug_100", "pug_101", "pug_102"]
    assert [name for _, name in rows] == ["train"] * 20 + ["valid"] * 3 + ["test"] * 3
    assert rows == splits.split(trainval, test, "report", seed=6)


def test_report_on_the_official_lists(tmp_path):
    (tmp_path / "annotations").symlink_to(real_data("official-lists").resolve())
    trainval, test = layout.read_lists(tmp_path)
    for rule in ("report", "stratified"):
        rows = splits.split(trainval, test, rule, seed=0)
        assert Counter(entry.species for entry in test) == {"cat": 1183, "dog": 2486}
        assert Counter(name for _, name in rows)["test"] == 3669
        assert len({entry.name for entry, _ in rows}) == 7349
        if rule == "report":
            assert Counter(name for _, name in rows) == {"train": 3312, "valid": 368, "test": 3669}
        else:
            valid = Counter(entry.breed for entry, name in rows if name == "valid")
            assert len(valid) == 37
            assert set(valid.values()) <= {9, 10}


def test_stratified_draws_a_tenth_of_each_breed():
    sizes = {"a": 100, "b": 14, "c": 15, "d": 2, "e": 1, "f": 25}
    rows = splits.split(entries(sizes), [], "stratified", seed=0)
    valid = Counter(entry.breed for entry, name in rows if name == "valid")
    assert valid == {"a": 10, "b": 1, "c": 2, "d": 1, "f": 3}
    assert sorted(names(rows, "valid") + names(rows, "train")) == sorted(entry.name for entry in entries(sizes))


def test_stratified_depends_on_the_seed_and_not_on_the_order_of_the_list():
    trainval = entries({"a": 60, "b": 40})
    shuffled = random.Random(1).sample(trainval, len(trainval))
    rows = splits.split(trainval, [], "stratified", seed=3)
    again = splits.split(shuffled, [], "stratified", seed=3)
    assert set(names(rows, "valid")) == set(names(again, "valid"))
    assert set(names(rows, "valid")) != set(names(splits.split(trainval, [], "stratified", seed=4), "valid"))
    chosen = set(names(again, "valid"))
    assert names(again, "valid") == [entry.name for entry in shuffled if entry.name in chosen]
    assert names(again, "train") == [entry.name for entry in shuffled if entry.name not in chosen]


@pytest.mark.parametrize(
    ("rule", "trainval", "empty"),
    [("report", entries({"a": 1}), "train"), ("stratified", entries({"a": 1, "b": 1}), "valid")],
)
def test_an_empty_split_is_refused(rule, trainval, empty):
    with pytest.raises(DataError, match=f"The {empty} split would be empty: .* split.rule={rule}"):
        splits.split(trainval, entries({"t": 1}), rule, seed=0)


def test_an_unknown_rule_is_never_taken_for_another():
    with pytest.raises(ValueError, match="'Report'"):
        splits.split(entries({"a": 20}), [], "Report", seed=0)


def test_table_round_trip(tmp_path):
    rows = [
        (Entry("american_bulldog_12", "american_bulldog", "dog"), "train"),
        (Entry("NA_1", "NA", "cat"), "valid"),
        (Entry("007", "unknown", "cat"), "test"),
    ]
    path = tmp_path / "data" / "splits.csv"
    splits.write_table(rows, [(500, 375), (1, 2), (333, 500)], path)
    assert path.read_bytes() == (
        b"name,split,breed,species,width,height\n"
        b"american_bulldog_12,train,american_bulldog,dog,500,375\n"
        b"NA_1,valid,NA,cat,1,2\n"
        b"007,test,unknown,cat,333,500\n"
    )
    table = splits.read_table(path)
    assert tuple(table.columns) == splits.COLUMNS
    assert table["name"].tolist() == ["american_bulldog_12", "NA_1", "007"]
    assert table["breed"].tolist() == ["american_bulldog", "NA", "unknown"]
    assert table["width"].tolist() == [500, 1, 333]
    assert table["height"].dtype == "int64"


def test_table_and_sizes_must_belong_together(tmp_path):
    path = tmp_path / "splits.csv"
    with pytest.raises(ValueError, match="zip"):
        splits.write_table([(Entry("a_1", "a", "cat"), "train")], [], path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [None, "", "name,split\na,train\n", "name,split,breed,species,width,height\na,train,a,cat,wide,3\n", "a\n1,2,3\n4"],
)
def test_a_table_that_is_none(tmp_path, content):
    path = tmp_path / "splits.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=r"splits\.csv .*dvc repro") as caught:
        splits.read_table(path)
    assert "\n" not in str(caught.value)
