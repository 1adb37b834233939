"""Annotation files and the images that they name: damaged ones, and names that lead elsewhere."""

import json
from pathlib import Path

import pytest

from petseg.importing import annotations, scan
from petseg.runtime.errors import DataError


def labelme(name: str, **more: object) -> str:
    shape = {"label": "cat", "points": [[0, 0], [4, 0], [4, 4]], "shape_type": "polygon"}
    return json.dumps({"shapes": [shape], "imagePath": name, **more})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "theirs"
    for name in ("a.jpg", "x/b.jpg", "y/b.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def find(root: Path, **texts: str) -> annotations.Annotated | None:
    for name, text in texts.items():
        (root / f"{name}.json").write_text(text)
    return annotations.find(scan.scan(root))


def error(root: Path, **texts: str) -> str:
    with pytest.raises(DataError) as found:
        find(root, **texts)
    assert "\n" not in str(found.value)
    return str(found.value)


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("a.jpg", "a.jpg"),
        ("..\\photos\\a.jpg", "a.jpg"),
        ("/home/somebody/a.jpg", "a.jpg"),
        ("../../../../x/b.jpg", "x/b.jpg"),
        ("data/y/b.jpg", "y/b.jpg"),
    ],
)
def test_names_lead_to_files_of_the_data_set(root: Path, name: str, image: str) -> None:
    found = find(root, one=labelme(name))
    assert found is not None
    assert list(found.pictures) == [root / image]


def test_names_never_lead_outside(root: Path) -> None:
    (root.parent / "secret.jpg").touch()
    found = find(root, one=labelme("../secret.jpg"), two=labelme("a.jpg"))
    assert found is not None
    assert list(found.pictures) == [root / "a.jpg"]
    assert found.missing == ["../secret.jpg"]
    (root / "two.json").unlink()
    assert error(root).startswith(f"{root}/one.json names ../secret.jpg, and no image that one.json names lies below")


def test_ambiguous_names(root: Path) -> None:
    assert f"names b.jpg, which can be {root}/x/b.jpg or {root}/y/b.jpg" in error(root, one=labelme("b.jpg"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"shapes": [', "one.json is no valid JSON (Expecting value: line 1 column 13"),
        ("[" * 100_000, "one.json is nested too deeply for annotations"),
        (
            labelme("a.jpg").replace('"label": "cat", ', ""),
            "one.json looks like labelme, but cannot be understood ('lab",
        ),
        (
            labelme("a.jpg").replace("4", "NaN"),
            "one.json looks like labelme, but cannot be understood (coordinates far",
        ),
        (labelme("a.jpg").replace("4", '"4"x').replace("x", ""), None),
        (labelme("a.jpg", imageWidth="wide"), "one.json looks like labelme, but cannot be understood (invalid literal"),
        ('{"images": [{"id": []}], "annotations": []}', "one.json looks like COCO, but cannot be understood"),
        ('{"images": [], "annotations": []}', "one.json names no image"),
    ],
    ids=["broken", "deep", "label", "nan", "text", "width", "coco", "empty"],
)
def test_damaged_annotations(root: Path, text: str, sentence: str | None) -> None:
    if sentence is None:
        assert find(root, one=text) is not None  # numbers as text
    else:
        assert sentence in error(root, one=text)


def test_files_that_are_not_text_and_xml_with_entities(root: Path) -> None:
    (root / "one.json").write_bytes(b"\xff\xfe{")
    assert "one.json is no valid JSON" in error(root)
    (root / "one.json").unlink()
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbb">]><annotations><image name="&b;"/></annotations>'
    (root / "two.xml").write_text(bomb)
    assert "two.xml is no valid XML (it defines entities)" in error(root)
    (root / "two.xml").write_text("<annotations>")
    assert "two.xml is no valid XML" in error(root)


def test_formats_must_not_be_mixed(root: Path) -> None:
    coco = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}
    assert "is a file of COCO and" in error(root, one=labelme("a.jpg"), two=json.dumps(coco))


def test_other_json_files_do_not_count(root: Path) -> None:
    assert find(root, package='{"name": "x"}', numbers="[1, 2]") is None
