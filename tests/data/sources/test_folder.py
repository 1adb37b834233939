"""The source `folder`: the images and masks it accepts, and its errors."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from petseg.data import images, layout
from petseg.data.sources import folder
from petseg.runtime.errors import DataError

NAMES = ("a_1", "a_2", "b_1", "b_2", "c", "d_10", "d_9")  # in sorted order
PET = np.zeros((20, 30), bool)
PET[:5, :20] = True


def photograph(seed: int = 0, size: tuple[int, int] = (30, 20)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8))


def save_mask(path: Path, values: np.ndarray) -> None:
    Image.fromarray(values.astype(np.uint8)).save(path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Seven photographs with masks of 0 and 255."""
    source = tmp_path / "mine"
    (source / "images").mkdir(parents=True)
    (source / "masks").mkdir()
    for seed, name in enumerate(NAMES):
        photograph(seed).save(source / "images" / f"{name}.jpg")
        save_mask(source / "masks" / f"{name}.png", PET * 255)
    return source


@pytest.fixture
def out(tmp_path: Path) -> Path:
    out = tmp_path / "raw"
    out.mkdir()
    return out


def names(entries: list[layout.Entry]) -> list[str]:
    return [entry.name for entry in entries]


def trimap(out: Path, name: str) -> np.ndarray:
    return images.read_trimap(layout.trimap_path(out, name))


def refusal(source: Path, out: Path) -> str:
    """The text of the error about `source`."""
    with pytest.raises(DataError) as error:
        folder.fetch(source, out, workers=1)
    assert "\n" not in str(error.value)
    assert str(out) not in str(error.value)  # the user knows only their own files
    return str(error.value)


def test_without_lists_every_fifth_image_is_for_testing(source: Path, out: Path) -> None:
    for name in ("images/._a_1.jpg", "images/.DS_Store", "images/Thumbs.db", "masks/notes.txt", "README.md"):
        (source / name).write_text("junk, which is ignored")
    folder.fetch(source, out, workers=1)
    trainval, test = layout.check(out)
    assert names(test) == ["a_1", "d_10"]
    assert names(trainval) == ["a_2", "b_1", "b_2", "c", "d_9"]
    assert [entry.breed for entry in trainval] == ["a", "b", "b", "unknown", "d"]
    assert {entry.species for entry in trainval} == {"unknown"}
    listed = (out / "annotations/list.txt").read_text().splitlines()
    assert sorted(line.split()[0] for line in listed) == sorted(NAMES)
    assert sorted(path.stem for path in (out / "images").iterdir()) == sorted(NAMES)


def test_images_are_copied_and_masks_become_trimaps_whatever_the_workers(source: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(folder, "CHUNK", 2)
    for workers in (1, 2):
        out = tmp_path / str(workers)
        out.mkdir()
        folder.fetch(source, out, workers)
        assert len([path for path in out.rglob("*") if path.is_file()]) == 2 * len(NAMES) + 3
        for name in NAMES:
            assert layout.image_path(out, name).read_bytes() == (source / f"images/{name}.jpg").read_bytes()
            np.testing.assert_array_equal(trimap(out, name), np.where(PET, 1, 2))


@pytest.mark.parametrize("suffix", folder.SUFFIXES)
def test_common_formats_with_the_suffix_in_upper_case(source: Path, out: Path, suffix: str) -> None:
    (source / "images/c.jpg").unlink()
    (source / "masks/c.png").unlink()
    photograph().save(source / "images" / f"c{suffix.upper()}")
    pet = np.zeros((20, 30), bool)
    pet[:8, :16] = True  # whole JPEG blocks
    options = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray((pet * 255).astype(np.uint8)).save(source / "masks" / f"c{suffix}", **options)
    folder.fetch(source, out, workers=1)
    assert images.decode(layout.image_path(out, "c")).size == (30, 20)
    np.testing.assert_array_equal(trimap(out, "c"), np.where(pet, 1, 2))


def test_trimaps_are_kept_and_one_may_be_all_pet(source: Path, out: Path) -> None:
    for name in NAMES:
        save_mask(source / f"masks/{name}.png", np.where(PET, 1, 2))
    save_mask(source / "masks/a_1.png", np.ones((20, 30)))
    banded = np.where(PET, 1, 2)
    banded[5] = 3
    save_mask(source / "masks/c.png", banded)
    folder.fetch(source, out, workers=1)
    np.testing.assert_array_equal(trimap(out, "c"), banded)
    assert (trimap(out, "a_1") == 1).all()


def test_lists_in_the_official_format_are_kept(source: Path, out: Path) -> None:
    (source / "trainval.txt").write_text("# mine\nb_2 5 2 3\n\nc 6 1 4\n")
    (source / "test.txt").write_text("d_9 7 2 5\n")
    folder.fetch(source, out, workers=1)
    assert (out / "annotations/list.txt").read_text() == "b_2 5 2 3\nc 6 1 4\nd_9 7 2 5\n"
    trainval, test = layout.check(out)
    assert [(entry.name, entry.species) for entry in trainval] == [("b_2", "dog"), ("c", "cat")]
    assert [(entry.name, entry.species) for entry in test] == [("d_9", "dog")]
    assert {path.stem for path in (out / "images").iterdir()} == {"b_2", "c", "d_9"}  # the unlisted are left out


def test_lists_of_names_keep_their_order(source: Path, out: Path) -> None:
    (source / "trainval.txt").write_text("d_9.jpg\r\nc\r\nb_2\r\n", encoding="utf-8-sig")
    (source / "test.txt").write_text("a_1")
    folder.fetch(source, out, workers=1)
    assert [names(entries) for entries in layout.check(out)] == [["d_9", "c", "b_2"], ["a_1"]]


@pytest.mark.parametrize(("given", "other"), [("trainval.txt", "test.txt"), ("test.txt", "trainval.txt")])
def test_a_missing_list_has_the_remaining_images(source: Path, out: Path, given: str, other: str) -> None:
    (source / given).write_text("b_2\na_1\n")
    folder.fetch(source, out, workers=1)
    lists = dict(zip(layout.LISTS, layout.check(out), strict=True))
    assert names(lists[given]) == ["b_2", "a_1"]
    assert names(lists[other]) == ["a_2", "b_1", "c", "d_10", "d_9"]


def test_a_rotated_photograph_and_a_name_beyond_ascii(source: Path, out: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown rotated by 90 degrees
    photograph(size=(20, 30)).save(source / "images/größe_1.jpg", exif=exif)
    save_mask(source / "masks/größe_1.png", PET * 255)
    folder.fetch(source, out, workers=1)
    assert "größe_1" in names(layout.check(out)[0])
    image, _ = images.read_pair(layout.image_path(out, "größe_1"), layout.trimap_path(out, "größe_1"))
    assert image.shape == (20, 30, 3)


def test_a_missing_source(tmp_path: Path, out: Path) -> None:
    assert refusal(tmp_path / "nowhere", out).startswith(f"data.path is {tmp_path / 'nowhere'}, which is not a folder")


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_missing_or_empty_folder(source: Path, out: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (source / kind).iterdir():
        path.unlink()
    assert refusal(source, out).startswith(f"{source / kind} holds no image")
    (source / kind).rmdir()
    sentence = f"{source / kind} does not exist; data.path must contain images/ and masks/"
    assert refusal(source, out) == f"{sentence}."
    monkeypatch.setenv("DVC_ROOT", str(source))  # the project; this process runs in another folder
    assert refusal(source, out).startswith(f"{sentence}; a queued experiment runs in a copy")


def rename(path: Path, name: str) -> None:
    path.rename(path.with_name(name))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def number_masks(source: Path) -> None:
    for name in NAMES:
        rename(source / f"masks/{name}.png", f"{name}_mask.png")


def sort_into_folders(source: Path) -> None:
    (source / "images/dogs").mkdir()
    for name in NAMES:
        (source / f"images/{name}.jpg").rename(source / f"images/dogs/{name}.jpg")


def write_pages(source: Path) -> None:
    (source / "masks/c.png").unlink()
    pages = [Image.fromarray(np.uint8(PET * 255))] * 3
    pages[0].save(source / "masks/c.tif", save_all=True, append_images=pages[1:])


def darken(source: Path) -> None:
    """Images of a camera with 12 bits."""
    for name in NAMES:
        (source / f"images/{name}.jpg").unlink()
        dark = np.random.default_rng(0).integers(0, 4096, (20, 30), np.uint16)
        Image.fromarray(dark).save(source / f"images/{name}.png")


def write_heic(source: Path) -> None:
    for name in NAMES:
        rename(source / f"images/{name}.jpg", f"{name}.HEIC")


def remove_masks(source: Path) -> None:
    for name in ("a_2", "c", "d_9"):
        (source / f"masks/{name}.png").unlink()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda source: rename(source / "masks/c.png", "e.png"), "{0}/images/c.jpg has no mask; add {0}/masks/c.png"),
        (remove_masks, "{0}/images/a_2.jpg has no mask (nor have 2 others)"),
        (
            number_masks,
            "{0}/images/a_1.jpg has no mask, but {0}/masks/a_1_mask.png lies there (as for 6 others); "
            "run: petseg import {0} --out mine-clean",
        ),
        (
            sort_into_folders,
            "{0}/images/dogs/a_1.jpg (and 6 more) must be in {0}/images itself, not in a subfolder; run: petseg imp",
        ),
        (write_pages, "{0}/masks/c.tif has 3 pages, and only the first would be used; run: petseg import {0} --out "),
        (darken, "{0}/images/a_2.png has 16 bits per channel, of which the upper ones are empty (as in 6 more), an"),
        (write_heic, "{0}/images/a_1.HEIC (and 6 more) has a format that is not read; run: petseg import {0} --out"),
        (lambda source: (source / "images/c.jpg").unlink(), "{0}/masks/c.png has no image; add {0}/images/c.jpg"),
        (
            lambda source: rename(source / "images/c.jpg", "c.HEIC"),
            "{0}/images/c.HEIC has an unsupported format; run: petseg im",
        ),
        (lambda source: photograph().save(source / "images/c.png"), "{0}/images/c.jpg and {0}/images/c.png have the"),
        (
            lambda source: save_mask(source / "masks/c.png", PET.T * 255),
            "{0}/images/c.jpg is 30 x 20 pixels but {0}/masks/c.png is 20 x 30",
        ),
        (
            lambda source: save_mask(source / "masks/c.png", PET * 7),
            "{0}/masks/c.png holds the values 0, 7, unlike {0}/masks/a_2.png",
        ),
        (lambda source: cut(source / "images/c.jpg"), "{0}/images/c.jpg cannot be decoded"),
        (lambda source: cut(source / "masks/c.png"), "{0}/masks/c.png cannot be decoded"),
    ],
)
def test_images_and_masks_that_cannot_be_used(source: Path, out: Path, damage: Callable, sentence: str) -> None:
    damage(source)
    assert refusal(source, out).startswith(sentence.format(source))


def test_images_that_are_not_read_are_named_and_counted(source: Path, out: Path, capsys: pytest.CaptureFixture) -> None:
    for name in ("e.heic", "f.AVIF"):
        (source / "images" / name).write_bytes(b"an image")
    folder.fetch(source, out, workers=1)
    said = f"warning: {source}/images/e.heic (and 1 more) is left out, because its format is not read; run: petseg"
    assert capsys.readouterr().out.startswith(said)
    assert len(list((out / "images").iterdir())) == len(NAMES)


def test_images_of_16_bits_that_are_bright_are_used(source: Path, out: Path) -> None:
    darken(source)
    bright = np.random.default_rng(0).integers(0, 65536, (20, 30), np.uint16)
    Image.fromarray(bright).save(source / "images/c.png")
    folder.fetch(source, out, workers=1)
    assert len(list((out / "images").iterdir())) == len(NAMES)


@pytest.mark.parametrize("stem", ["my cat", "#1", "a\tb", "a\\b", "cat\u00a0one", os.fsdecode(b"caf\xe9")])
def test_names_that_cannot_be_written_to_a_list(source: Path, out: Path, stem: str) -> None:
    rename(source / "images/c.jpg", f"{stem}.jpg")
    rename(source / "masks/c.png", f"{stem}.png")
    sentence = refusal(source, out)
    assert "cannot be written to a list; rename it and its mask" in sentence
    assert sentence.isprintable()


@pytest.mark.parametrize(
    ("trainval", "test", "sentence"),
    [
        ("a_1\nnobody\n", "c", "{0}/trainval.txt, line 2: no image is called nobody"),
        ("a_1\n\n# c\na_1\n", "b_1", "{0}/trainval.txt lists a_1 twice, in lines 1 and 4"),
        ("a_1\nc\n", "b_1\nc\n", "c is in {0}/trainval.txt and in {0}/test.txt"),
        ("# nothing\n\n", "c", "{0}/trainval.txt lists no image"),
        ("a_1\n", "", "{0}/test.txt lists no image"),
        ("a_1 1 3 1\n", "c", "{0}/trainval.txt, line 1 is 'a_1 1 3 1', not NAME CLASS"),
        (None, b"\xff\xfe\x00", "{0}/test.txt cannot be read as text"),
        (None, "\n".join(NAMES), "No image of {0} is left for the missing list"),
    ],
)
def test_invalid_lists(source: Path, out: Path, trainval: str | None, test: str | bytes, sentence: str) -> None:
    if trainval is not None:
        (source / "trainval.txt").write_text(trainval)
    (source / "test.txt").write_bytes(test if isinstance(test, bytes) else test.encode())
    assert refusal(source, out).startswith(sentence.format(source))
