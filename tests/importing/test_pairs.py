"""Which mask belongs to which image."""

from pathlib import Path

import pytest

from petseg.importing import pairs, scan
from petseg.runtime.errors import DataError


def touch(root: Path, *names: str) -> scan.Files:
    """Empty files, and what a scan finds."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return scan.scan(root)


def matched(files: scan.Files) -> list[tuple[str, str, list[str]]]:
    """Name, image and masks of each pair."""
    match = pairs.match(files)
    assert match is not None
    relative = [
        (pair.name, str(pair.image.path.relative_to(files.root)), [str(m.relative_to(files.root)) for m in pair.masks])
        for pair in match.pairs
    ]
    return sorted(relative)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/{}.jpg", "masks/{}.png"),
        ("images/{}.jpg", "masks/{}_mask.gif"),
        ("imgs/{}.jpg", "masks/mask_{}.png"),
        ("img/{}.jpg", "gt/{}.jpg.png"),
        ("photos/{}.jpg", "labels/{}-1-mask.png"),
        ("input/{}.png", "GroundTruth/{}_segmentation.png"),
        ("JPEGImages/{}.jpg", "SegmentationClass/{}.png"),
        ("images/{}.jpg", "annotations/trimaps/{}.png"),
        ("train/{}.jpg", "train_masks/{}_mask.gif"),
        ("images/image_{}.png", "labels/label_{}.png"),
        ("leftImg8bit/{}_leftImg8bit.png", "gtFine/{}_gtFine_labelIds.png"),
        ("{}.jpg", "{}_mask.png"),
        ("{}_sat.jpg", "{}_mask.png"),
        ("{}.jpg", "{}.png"),
        ("a/{}.png", "a/{}_gt.png"),
        ("jpg/{}.jpg", "segmim/{}.png"),
        ("PNGImages/Fudan{}.png", "PedMasks/Fudan{}_mask.png"),
    ],
)
def test_names_and_folders_of_pairs(tmp_path: Path, image: str, mask: str) -> None:
    stems = ("1", "2", "10", "11", "12", "21", "102")
    files = touch(tmp_path, *(form.format(stem) for stem in stems for form in (image, mask)))
    name = "Fudan{}" if "Fudan" in image else "{}"
    expected = [(name.format(stem), image.format(stem), [mask.format(stem)]) for stem in stems]
    assert matched(files) == sorted(expected)


def test_files_without_a_partner_are_told(tmp_path: Path) -> None:
    files = touch(tmp_path, "images/a.jpg", "images/b.jpg", "masks/a.png", "masks/c.png", "logo.png")
    match = pairs.match(files)
    assert match is not None
    assert [pair.name for pair in match.pairs] == ["a"]
    assert [path.name for path in match.images] == ["b.jpg"]
    assert [path.name for path in match.masks] == ["c.png"]


def test_the_same_names_in_several_subfolders(tmp_path: Path) -> None:
    names = [f"{kind}/{breed}/{i}.png" for kind in ("images", "masks") for breed in ("pug", "manx") for i in (1, 2)]
    assert matched(touch(tmp_path, *names)) == [
        (str(i), f"images/{breed}/{i}.png", [f"masks/{breed}/{i}.png"]) for i in (1, 2) for breed in ("manx", "pug")
    ]


def test_masks_that_are_not_in_subfolders(tmp_path: Path) -> None:
    files = touch(tmp_path, "images/pug/1.jpg", "images/manx/2.jpg", "masks/1.png", "masks/2.png")
    assert [masks for _, _, masks in matched(files)] == [["masks/1.png"], ["masks/2.png"]]


def test_ambiguous_names_are_an_error(tmp_path: Path) -> None:
    files = touch(tmp_path, "images/pug/1.jpg", "images/manx/1.jpg", "images/a.jpg", "masks/1.png", "masks/a.png")
    with pytest.raises(DataError, match=r"images/manx/1\.jpg and .*images/pug/1\.jpg have the same name 1, so that"):
        pairs.match(files)


def test_several_masks_of_an_image_are_united(tmp_path: Path) -> None:
    names = ["benign (1).png", "benign (1)_mask.png", "benign (1)_mask_1.png", "benign (2).png", "benign (2)_mask.png"]
    match = pairs.match(touch(tmp_path, *names))
    assert match is not None
    assert [[mask.name for mask in pair.masks] for pair in match.pairs] == [names[1:3], names[4:]]
    assert match.masks == []


def test_images_alone_have_no_pairs(tmp_path: Path) -> None:
    assert pairs.match(touch(tmp_path, "a.png", "b.png", "images/c.jpg")) is None
    assert pairs.match(touch(tmp_path / "other", "images/a.png", "masks/b.png")) is None


def test_roles_splits_and_groups_of_folders(tmp_path: Path) -> None:
    def said(name: str) -> tuple:
        return pairs.place(tmp_path / name, tmp_path)[2:]

    assert said("data/Training/images/pug/1.jpg") == ("image", "train", ("data", "pug"))
    assert said("val_labels/my pug/1.png") == ("mask", "valid", ("my pug",))
    assert said("SegmentationObject/1.png") == ("other", "", ())
    assert said("contest/imagery/1.png") == ("", "", ("contest", "imagery"))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("leftImg8bit", ["left", "img", "8", "bit"]),
        ("JPEGImages", ["jpeg", "images"]),
        ("ISIC2018_Task1_Training_GroundTruth", ["isic", "2018", "task", "1", "training", "ground", "truth"]),
        ("größe-2", ["größe", "2"]),
        ("", []),
    ],
)
def test_words_of_a_name(name: str, found: list[str]) -> None:
    assert pairs.words(name) == found


def test_all_masks_in_the_folder_of_an_image_are_its_masks(tmp_path):
    files = touch(
        tmp_path, *(f"{i}/{name}" for i in "ab" for name in (f"images/{i}.png", "masks/x1.png", "masks/y2.png"))
    )
    assert matched(files) == [(i, f"{i}/images/{i}.png", [f"{i}/masks/x1.png", f"{i}/masks/y2.png"]) for i in "ab"]


def test_folders_with_several_images_are_matched_by_name(tmp_path):
    names = ("images/1.png", "images/2.png", "masks/1.png", "masks/2.png")
    files = touch(
        tmp_path,
        *(f"pug/{name}" for name in names),
        "persian/images/3.png",
        "persian/masks/3_1.png",
        "persian/masks/3.png",
    )
    assert ("1", "pug/images/1.png", ["pug/masks/1.png"]) in matched(files)
