"""The split rules and data/splits.csv."""

import random
from collections import Counter

import pytest

from petseg.data import layout, splits
from petseg.data.layout import Entry
from petseg.data.splits import Assignment
from petseg.runtime.errors import DataError
from support.paths import real_data


def entries(counts: dict[str, int], first: int = 0) -> list[Entry]:
    return [Entry(f"{breed}_{first + i}", breed, "cat") for breed, count in counts.items() for i in range(count)]


def names(assignments: list[Assignment], split: str) -> list[str]:
    return [entry.name for entry, name in assignments if name == split]


def test_report_takes_every_tenth_line_from_the_first():
    trainval, test = entries({"pug": 23}), entries({"pug": 3}, first=100)
    assignments = splits.split(trainval, test, "report", seed=5)
    assert names(assignments, "valid") == ["pug_0", "pug_10", "pug_20"]
    assert names(assignments, "train") == [f"pug_{i}" for i in range(23) if i % 10]
    assert names(assignments, "test") == ["pug_100", "pug_101", "pug_102"]
    assert [name for _, name in assignments] == ["train"] * 20 + ["valid"] * 3 + ["test"] * 3
    assert assignments == splits.split(trainval, test, "report", seed=6)


@pytest.mark.parametrize("rule", ["report", "stratified"])
def test_official_lists(tmp_path, rule):
    (tmp_path / "annotations").symlink_to(real_data("official-lists").resolve())
    trainval, test = layout.read_lists(tmp_path)
    assert Counter(entry.species for entry in test) == {"cat": 1183, "dog": 2486}
    assignments = splits.split(trainval, test, rule, seed=0)
    assert len({entry.name for entry, _ in assignments}) == 7349
    counts = Counter(name for _, name in assignments)
    assert counts["test"] == 3669
    if rule == "report":
        assert (counts["train"], counts["valid"]) == (3312, 368)
    else:
        valid = Counter(entry.breed for entry, name in assignments if name == "valid")
        assert len(valid) == 37
        assert set(valid.values()) <= {9, 10}


def test_stratified_samples_a_tenth_of_each_breed():
    trainval = entries({"a": 100, "b": 14, "c": 15, "d": 2, "e": 1, "f": 25})
    assignments = splits.split(trainval, [], "stratified", seed=0)
    valid = Counter(entry.breed for entry, name in assignments if name == "valid")
    assert valid == {"a": 10, "b": 1, "c": 2, "d": 1, "f": 3}
    assert sorted(entry for entry, _ in assignments) == sorted(trainval)


def test_stratified_depends_on_the_seed_and_not_on_the_order_of_the_list():
    trainval = entries({"a": 60, "b": 40})
    shuffled = random.Random(1).sample(trainval, len(trainval))
    valid = set(names(splits.split(trainval, [], "stratified", seed=3), "valid"))
    again = splits.split(shuffled, [], "stratified", seed=3)
    assert names(again, "valid") == [entry.name for entry in shuffled if entry.name in valid]
    assert names(again, "train") == [entry.name for entry in shuffled if entry.name not in valid]
    assert valid != set(names(splits.split(trainval, [], "stratified", seed=4), "valid"))


@pytest.mark.parametrize(
    ("rule", "trainval", "empty"),
    [("report", entries({"a": 1}), "train"), ("stratified", entries({"a": 1, "b": 1}), "valid")],
)
def test_an_empty_split_is_refused(rule, trainval, empty):
    with pytest.raises(DataError, match=f"The {empty} split would be empty: .* split.rule={rule}"):
        splits.split(trainval, entries({"t": 1}), rule, seed=0)


def test_table_round_trip(tmp_path):
    assignments = [
        Assignment(Entry("american_bulldog_12", "american_bulldog", "dog"), "train"),
        Assignment(Entry("NA_1", "NA", "cat"), "valid"),
        Assignment(Entry("007", "unknown", "cat"), "test"),
    ]
    path = tmp_path / "data" / "splits.csv"
    splits.write_table(assignments, [(500, 375), (1, 2), (333, 500)], path)
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


def test_a_missing_table(tmp_path):
    with pytest.raises(DataError, match=r"splits\.csv does not exist; run `dvc repro split`"):
        splits.read_table(tmp_path / "splits.csv")


def assigned(**splits_of: list[str]) -> list[Assignment]:
    return [Assignment(Entry(name, "pug", "dog"), split) for split, listed in splits_of.items() for name in listed]


def test_excluded_images_are_left_out_and_the_others_keep_their_splits():
    trainval, test = entries({"pug": 23}), entries({"pug": 3}, first=100)
    divided = splits.split(trainval, test, "report", seed=0)
    kept = splits.exclude(divided, ["pug_0", "pug_5", "pug_101"])
    assert kept == [each for each in divided if each.entry.name not in ("pug_0", "pug_5", "pug_101")]
    assert names(kept, "valid") == ["pug_10", "pug_20"]


def test_an_excluded_image_must_exist_and_leave_others():
    divided = assigned(train=["pug_1", "pug_2"], valid=["pug_3"], test=["pug_4"])
    with pytest.raises(DataError, match=r"pug_22, but no image has this name; the nearest name is pug_2\."):
        splits.exclude(divided, ["pug_22"])
    with pytest.raises(DataError, match="leaves no image in the valid split"):
        splits.exclude(divided, ["pug_3"])


def test_a_limit_keeps_nested_random_subsets_of_train_alone():
    divided = splits.split(entries({"pug": 23}), entries({"pug": 3}, first=100), "report", seed=0)
    kept = {count: splits.limit(divided, count, seed=5) for count in (1, 4, 11, 20, 99)}
    for count, found in kept.items():
        assert len(names(found, "train")) == min(count, 20)
        assert [names(found, split) for split in ("valid", "test")] == [
            names(divided, split) for split in ("valid", "test")
        ]
        assert found == [each for each in divided if each in found]  # in order
    assert set(kept[1]) < set(kept[4]) < set(kept[11]) < set(kept[20])
    assert kept[20] == kept[99] == divided
    assert kept[11] == splits.limit(divided, 11, seed=5) != splits.limit(divided, 11, seed=6)
    assert names(kept[4], "train") != names(divided, "train")[:4]


def test_a_group_is_in_one_split_and_the_test_split_stays():
    divided = assigned(train=["a", "b", "c", "d"], valid=["e", "f", "g"], test=["h", "i", "j"])
    groups = [("a", "h"), ("b", "e"), ("f", "i", "c"), ("i", "j")[:1]]
    kept = splits.keep_together(divided, groups)
    assert names(kept, "train") == ["b", "d", "e"]
    assert names(kept, "valid") == ["g"]
    assert names(kept, "test") == ["h", "i", "j"]
    assert splits.keep_together(divided, [("a", "b"), ("h", "j")]) == divided
