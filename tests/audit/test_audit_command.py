"""The audit of a whole data set: drawn ones, and parts of Oxford-IIIT Pet."""

import json

import numpy as np
import pytest
from PIL import Image

from petseg.audit import command
from petseg.audit.findings import ERROR, WARNING
from petseg.data.sources import archive
from petseg.runtime.errors import DataError
from support.audited import COPIES, copy_of, kinds, picture, some_pictures, write_official, write_own
from support.paths import ROOT, real_data


@pytest.fixture(autouse=True)
def cache_here(tmp_path, monkeypatch):
    monkeypatch.setenv("PETSEG_CACHE", str(tmp_path / "cache"))


def unpacked(name, folder):
    for part in ("images", "annotations"):
        archive.extract(real_data(name) / f"{part}.tar.gz", folder)
    return folder


def test_a_clean_data_set_has_no_errors_or_warnings(tmp_path):
    pictures = some_pictures(70)
    folder = write_official(tmp_path / "raw", pictures, test=set(list(pictures)[::2]))
    audited = command.audit(folder, workers=1)
    assert kinds(audited) == {"wrong-suffix": sorted(pictures)}
    assert not audited.failed
    assert audited.pairs == ()


def test_what_was_measured_once_is_not_measured_again(tmp_path):
    folder = write_own(tmp_path / "own", some_pictures(6))
    first, second = (command.audit(folder, workers=1) for _ in range(2))
    assert (first.measured, second.measured) == (6, 0)
    assert second.as_json() == first.as_json()
    picture(99)[0].save(folder / "images/blob_3.png")
    assert command.audit(folder, workers=1).measured == 1


def test_a_broken_cache_only_costs_time(tmp_path):
    folder = write_own(tmp_path / "own", some_pictures(6))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/audit.sqlite").write_bytes(b"not a database" * 100)
    assert [command.audit(folder, workers=1).measured for _ in range(2)] == [6, 6]


def test_page_json_and_table_say_the_same(tmp_path, capsys):
    pictures = some_pictures(12)
    pictures["blob_2"] = (pictures["blob_2"][0], np.full((180, 240), 2, np.uint8))
    pictures["copy_1"] = pictures["blob_5"]
    folder = write_official(tmp_path / "raw", pictures, test={"blob_0", "blob_1", "copy_1"})
    assert command.run(folder, tmp_path / "audit.json", tmp_path / "audit.html")
    out, page = capsys.readouterr().out, (tmp_path / "audit.html").read_text()
    found = json.loads((tmp_path / "audit.json").read_text())
    assert found["splits"] == {"trainval": 10, "test": 3}
    leak = next(finding for finding in found["findings"] if finding["kind"] == "leak")
    assert leak["images"] == ["blob_5", "copy_1"]
    assert found["duplicates"][0]["exact"]
    assert "blob_5 (trainval), copy_1 (test): all pixels equal" in out
    for finding in found["findings"]:
        assert finding["kind"] in out
        assert f'id="{finding["kind"]}"' in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_the_page_does_not_change_the_output_of_the_stage_report():
    assert f"/{command.PAGE}" in (ROOT / ".dvcignore").read_text().splitlines()


def test_all_masks_empty_is_an_error(tmp_path):
    pictures = {name: (image, np.full_like(trimap, 2)) for name, (image, trimap) in some_pictures(8).items()}
    audited = command.audit(write_own(tmp_path / "own", pictures), workers=1)
    assert audited.failed
    assert kinds(audited)["all-empty-masks"] == sorted(pictures)
    assert not command.run(tmp_path / "own", None, tmp_path / "audit.html")


def test_the_result_does_not_depend_on_the_number_of_workers(tmp_path, monkeypatch):
    pictures = some_pictures(40)
    pictures["copy_1"] = (pictures["blob_7"][0].resize((150, 120)), picture(7, (150, 120))[1])
    folder = write_own(tmp_path / "own", pictures)
    one = command.audit(folder, workers=1)
    monkeypatch.setenv("PETSEG_CACHE", str(tmp_path / "other"))
    two = command.audit(folder, workers=2)
    assert two.measured == 41
    assert two.as_json() == one.as_json()
    assert [(pair.first, pair.second) for pair in one.pairs] == [("blob_7", "copy_1")]


def test_without_a_folder_the_splits_of_the_project_are_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="dvc repro fetch_data"):
        command.audit(None, workers=1)
    pictures = some_pictures(4)
    write_official(tmp_path / "data/raw", pictures, test={"blob_0"})
    (tmp_path / "data/splits.csv").write_text(
        "name,split,breed,species,width,height\nblob_1,valid,blob,cat,1,1\nblob_2,train,blob,cat,1,1\n"
        "blob_3,train,blob,cat,1,1\nblob_0,test,blob,cat,1,1\n"
    )
    assert {name: len(each) for name, each in command.audit(None, workers=1).data.splits.items()} == {
        "train": 2,
        "valid": 1,
        "test": 1,
    }


def test_planted_copies_are_found_and_nothing_else(tmp_path):
    pictures, rng = some_pictures(70), np.random.default_rng(0)
    for i in range(50):
        image, trimap = pictures[f"blob_{i}"]
        copy = copy_of(image, COPIES[i % len(COPIES)], rng)
        pictures[f"copy_{i}"] = copy, np.asarray(Image.fromarray(trimap).resize(copy.size, Image.Resampling.NEAREST))
    audited = command.audit(write_own(tmp_path / "own", pictures), workers=1)
    found = {(pair.first, pair.second) for pair in audited.pairs}
    planted = {(f"blob_{i}", f"copy_{i}") for i in range(50)}
    assert found <= planted
    assert len(found) >= 48
    mirrored = {pair.first for pair in audited.pairs if pair.mirrored}
    assert mirrored == {f"blob_{i}" for i in range(50) if COPIES[i % len(COPIES)] == "mirrored"}


PAIRS = [(5, 87), (40, 63), (11, 177), (24, 56), (122, 172), (151, 99)]
SAME_SHOOT = [(24, 80), (56, 80)]  # crops of one photograph


def test_oxford_pets_mini(tmp_path):
    audited = command.audit(unpacked("oxford-pets-mini", tmp_path / "raw"), workers=2)
    found = {(pair.first, pair.second) for pair in audited.pairs}
    expected = {tuple(sorted(f"Abyssinian_{number}" for number in pair)) for pair in PAIRS + SAME_SHOOT}
    assert found == expected | {("Bengal_83", "Bengal_85")}  # seen by eye: one photograph, cropped
    assert kinds(audited)["leak"] == ["Abyssinian_151", "Abyssinian_99"]
    ceiling = next(finding.numbers for finding in audited.findings if finding.kind == "annotation-ceiling")
    assert ceiling["dice_border_foreground"] == pytest.approx(0.966, abs=0.003)
    assert ceiling["dice_border_ignored"] == pytest.approx(1, abs=0.001)
    assert not [finding.kind for finding in audited.findings if finding.severity == ERROR]


EMPTY = ["Egyptian_Mau_162", "Egyptian_Mau_165", "Egyptian_Mau_196", "Egyptian_Mau_20", "Persian_259"]


def test_oxford_pets_part_with_planted_copies_and_misplaced_masks(tmp_path):
    folder, rng = unpacked("oxford-pets-part", tmp_path / "raw"), np.random.default_rng(0)
    listed = [line.split()[0] for line in (folder / "annotations/trainval.txt").read_text().splitlines()]
    originals = rng.permutation([name for name in listed if name not in EMPTY])[:50]
    lines = []
    for i, name in enumerate(originals):
        copy = copy_of(Image.open(folder / f"images/{name}.jpg").convert("RGB"), COPIES[i % len(COPIES)], rng)
        copy.save(folder / f"images/copy_{i}.jpg", quality=90)
        trimap = Image.open(folder / f"annotations/trimaps/{name}.png").resize(copy.size, Image.Resampling.NEAREST)
        trimap.save(folder / f"annotations/trimaps/copy_{i}.png")
        lines.append(f"copy_{i} 1 1 1\n")
    with open(folder / "annotations/test.txt", "a") as file:
        file.writelines(lines)
    audited = command.audit(folder, workers=2)
    assert kinds(audited)["empty-masks"] == EMPTY
    assert kinds(audited)["inverted-mask"] == ["Persian_273"]  # seen by eye
    origin = {f"copy_{i}": str(name) for i, name in enumerate(originals)}
    planted = {(pair.first, pair.second) for pair in audited.pairs if "copy" in pair.first + pair.second}
    assert len({pair for name, copy in origin.items() if (pair := tuple(sorted((name, copy)))) in planted}) >= 48
    # Copies of photographs that occur twice are found twice; other pairs are false.
    known = {frozenset((pair.first, pair.second)) for pair in audited.pairs} - {frozenset(pair) for pair in planted}
    for pair in planted:
        first, second = (origin.get(name, name) for name in pair)
        assert first == second or frozenset((first, second)) in known
    false_alarms = [finding for finding in audited.findings if finding.kind in ("shifted-mask", "mirrored-mask")]
    assert all(finding.severity == WARNING for finding in false_alarms)
    assert sum(len([name for name in finding.images if name not in origin]) for finding in false_alarms) <= 15
