"""`petseg import`: what it says, what it writes, and data sets that are wrong."""

import csv
import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image

from petseg.importing import command
from petseg.importing.plan import Options
from petseg.runtime.errors import DataError
from support.datasets import SIZE, pet, photograph, save

NAMES = ("a_1", "a_2", "b_1", "b_2", "c")


@pytest.fixture(autouse=True)
def _one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PETSEG_WORKERS", "1")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Five photographs with masks of 0 and 255."""
    source = tmp_path / "theirs"
    for i, name in enumerate(NAMES):
        save(photograph(i), source / f"images/{name}.jpg")
        save(np.uint8(pet(i) * 255), source / f"masks/{name}.png")
    return source


def run(source: Path, dry_run: bool = False, **options: object) -> Path:
    out = source.parent / "clean"
    command.run(source, out, Options(**options), dry_run)
    return out


def load(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def refusal(source: Path, **options: object) -> str:
    """The text of the error; nothing is left behind."""
    with pytest.raises(DataError) as error:
        run(source, **options)
    assert "\n" not in str(error.value)
    assert not list(source.parent.glob("*clean*"))
    return str(error.value)


def test_images_are_copied_and_everything_is_recorded(source: Path) -> None:
    out = run(source)
    assert sorted(path.name for path in out.iterdir()) == ["images", "masks", "sources.csv"]
    for i, name in enumerate(NAMES):
        assert (out / f"images/{name}.jpg").read_bytes() == (source / f"images/{name}.jpg").read_bytes()
        np.testing.assert_array_equal(load(out / f"masks/{name}.png"), pet(i) * 255)
    rows = list(csv.DictReader((out / "sources.csv").read_text().splitlines()))
    assert rows[0] == {"name": "a_1", "image": "images/a_1.jpg", "masks": "masks/a_1.png", "page": ""}
    assert [row["name"] for row in rows] == list(NAMES)


def test_a_dry_run_says_the_same_and_writes_nothing(source: Path, capsys: pytest.CaptureFixture) -> None:
    run(source, dry_run=True)
    dry = capsys.readouterr().out.splitlines()
    assert not (source.parent / "clean").exists()
    run(source)
    assert capsys.readouterr().out.splitlines()[:-2] == dry[:-1]
    assert dry[0] == f"{source}: 5 images with a mask"


def test_the_users_lists_are_kept(source: Path) -> None:
    (source / "trainval.txt").write_text("b_2 5 2 3\n# mine\nc\n")
    (source / "test.txt").write_text("a_1.jpg\n")
    out = run(source)
    assert (out / "trainval.txt").read_text() == "b_2 5 2 3\nc 0 0 0\n"
    assert (out / "test.txt").read_text() == "a_1 0 0 0\n"


def test_the_output_must_be_free(source: Path) -> None:
    out = run(source)
    with pytest.raises(DataError, match="clean exists already, and nothing is overwritten"):
        run(source)
    (out.parent / "file").touch()
    for where, sentence in (
        (out.parent / "file", "exists already"),
        (source / "clean", "lies in"),
        (source, "exists already"),
    ):
        with pytest.raises(DataError, match=sentence):
            command.run(source, where, Options())
    (out.parent / "empty").mkdir()
    command.run(source, out.parent / "empty", Options())
    assert len(list((out.parent / "empty/images").iterdir())) == len(NAMES)


def test_an_error_while_writing_leaves_nothing(source: Path) -> None:
    image = source / "images/c.jpg"
    image.write_bytes(image.read_bytes()[:-200])
    assert refusal(source).startswith(f"{image} cannot be decoded")


def test_several_masks_of_an_image_are_united(source: Path, capsys: pytest.CaptureFixture) -> None:
    for path in (source / "masks").iterdir():
        path.rename(path.with_stem(f"{path.stem}_mask"))
    corner = np.zeros(SIZE[::-1], np.uint8)
    corner[-3:] = 255
    save(corner, source / "masks/c_mask_1.png")
    out = run(source)
    np.testing.assert_array_equal(load(out / "masks/c.png"), (pet(4) | (corner > 0)) * 255)
    assert "guess: masks of one image are united, such as masks/c_mask_1.png (1 mask)" in capsys.readouterr().out


def test_trimaps_keep_their_border(source: Path) -> None:
    values = np.where(pet(0), 255, 0).astype(np.uint8)
    values[:2] = 128
    for name in NAMES:
        save(values, source / f"masks/{name}.png")
    out = run(source)
    expected = np.where(pet(0), 1, 2)
    expected[:2] = 3
    np.testing.assert_array_equal(load(out / "masks/c.png"), expected)


def test_a_name_that_is_no_text(source: Path, capsys: pytest.CaptureFixture) -> None:
    (source / "images/c.jpg").rename(source / "images" / os.fsdecode(b"caf\xe9.jpg"))
    (source / "masks/c.png").rename(source / "masks" / os.fsdecode(b"caf\xe9.png"))
    out = run(source)
    assert (out / "images/caf_.jpg").exists()
    assert r"images/caf\udce9.jpg" in (out / "sources.csv").read_text()
    assert r"such as caf_ for images/caf\udce9.jpg" in capsys.readouterr().out


def test_pages_of_another_size_than_their_masks(source: Path) -> None:
    for folder, pages in (
        ("images", [photograph(0), photograph(0, (20, 20))]),
        ("masks", [Image.new("L", SIZE, i * 255) for i in range(2)]),
    ):
        save(pages[0], source / folder / "d.tif", save_all=True, append_images=pages[1:])
    assert refusal(source).startswith(f"Page 2 of {source}/images/d.tif has another size than its mask; save")


def test_a_photograph_in_heic_is_converted_and_an_unknown_format_is_named(source: Path, capsys) -> None:
    heif = pytest.importorskip("pillow_heif", reason="HEIC needs the package pillow-heif")
    (source / "images/c.jpg").unlink()
    heif.from_pillow(photograph(4)).save(source / "images/c.HEIC")
    (source / "images/d.CR2").touch()
    out = run(source)
    assert load(out / "images/c.png").shape == (*SIZE[::-1], 3)
    assert "left out: 1 image of kinds that are not read: images/d.CR2" in capsys.readouterr().out


def test_a_rotated_photograph_of_16_bits_is_turned_to_its_mask(source: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (source / "images/c.jpg").unlink()
    turned = Image.fromarray(np.asarray(photograph(4).convert("L")).astype(np.uint16) * 16).transpose(
        Image.Transpose.ROTATE_90
    )
    turned.save(source / "images/c.png", exif=exif)
    out = run(source)
    image = load(out / "images/c.png")
    assert image.shape == SIZE[::-1]
    assert image[pet(4)].mean() > 1.5 * image[~pet(4)].mean()


def test_annotations_of_a_rotated_photograph_are_as_it_is_shown(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    source = tmp_path / "theirs"
    save(photograph(1).transpose(Image.Transpose.ROTATE_90), source / "c.jpg", exif=exif)
    region = {"shape_attributes": {"name": "rect", "x": 0, "y": 0, "width": 5, "height": 9}, "region_attributes": {}}
    (source / "via.json").write_text(json.dumps({"c": {"filename": "c.jpg", "regions": [region]}}))
    mask = np.asarray(Image.open(run(source) / "masks/c.png"))
    assert mask.shape == SIZE[::-1]
    assert (mask[:9, :5] == 255).all()
    assert mask.sum() == 45 * 255


def test_cutouts_keep_the_colors_below_and_flat_ones_are_told(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    source = tmp_path / "theirs"
    for i in range(2):
        pixels = np.asarray(photograph(i).convert("RGBA")).copy()
        pixels[..., 3] = pet(i) * 255
        if i:
            pixels[~pet(i), :3] = 255
        save(pixels, source / f"{i}.png")
    out = run(source)
    np.testing.assert_array_equal(load(out / "images/0.png"), np.asarray(photograph(0)))
    assert "note: 1 of 2 cut-outs have nothing but one color outside the pet" in capsys.readouterr().out


def swap(source: Path) -> None:
    (source / "images").rename(source / "x")
    (source / "masks").rename(source / "images")
    (source / "x").rename(source / "masks")


def save_masks(source: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    for i, name in enumerate(NAMES):
        save(change(np.uint8(pet(i))), source / f"masks/{name}.png")


def remove_masks(source: Path) -> None:
    for path in (source / "masks").iterdir():
        path.unlink()


def write_pages(source: Path) -> None:
    (source / "images/c.jpg").unlink()
    pages = [photograph(i) for i in range(3)]
    save(pages[0], source / "images/c.tif", save_all=True, append_images=pages[1:])


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (swap, "{0}/images/a_1.png looks like a mask and {0}/masks/a_1.jpg like a photograph, as do the others; swap"),
        (
            lambda source: save(np.zeros((20, 30), np.uint8), source / "masks/c.png"),
            "{0}/images/c.jpg is 48 x 40 pixels, but {0}/masks/c.png is 30 x 20; replace one of them",
        ),
        (
            remove_masks,
            "{0} holds 5 images (images/a_1.jpg, images/a_2.jpg, images/b_1.jpg and 2 others), but no",
        ),
        (write_pages, "{0}/images/c.tif has 3 pages, but its mask {0}/masks/c.png has 1; save the pages"),
        (lambda source: save_masks(source, lambda mask: mask * 0), "All pixels of all masks are 0, so there is no pet"),
        (lambda source: save_masks(source, lambda mask: mask * 0 + 255), "All pixels of all masks are 255, so there"),
        (
            lambda source: save_masks(source, lambda mask: mask * 5 + 3),
            "The masks hold class numbers; choose the ones that are pets, such as --pet 3,8, or --pet all",
        ),
        (lambda source: (source / "masks/c.png").write_bytes(b"no image"), "{0}/masks/c.png cannot be decoded (unkno"),
        (lambda source: save(photograph(9), source / "images/c.png"), "{0}/images/c.jpg and {0}/images/c.png have the"),
    ],
    ids=["swapped", "size", "no masks", "pages", "empty", "full", "numbers", "damaged", "twice"],
)
def test_data_sets_that_are_wrong(source: Path, damage: Callable, sentence: str) -> None:
    damage(source)
    assert refusal(source).startswith(sentence.format(source))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"masks": "cutouts"}, "--masks is 'cutouts'; it can be files, annotations, alpha."),
        (
            {"masks": "alpha"},
            "{0} holds 10 images (images/a_1.jpg, images/a_2.jpg, images/b_1.jpg and 7 others), but",
        ),
        ({"pet": "7"}, "No mask holds 7, chosen as pet; the masks hold 0, 255."),
        ({"pet": "0,255"}, "All pixels of all masks are pet, so there is nothing to learn"),
        ({"colors": ("red",)}, "No mask holds #ff0000, chosen as pet; the masks hold #000000, #ffffff."),
    ],
    ids=["kind", "alpha", "number", "everything", "color"],
)
def test_options_that_do_not_fit(source: Path, options: dict, sentence: str) -> None:
    assert refusal(source, **options).startswith(sentence.format(source))


def test_a_palette_that_changes_counts_by_color(source: Path, capsys: pytest.CaptureFixture) -> None:
    for i, name in enumerate(NAMES):
        image = Image.fromarray(np.uint8(pet(i) ^ (i % 2 == 1)))
        image.putpalette([0, 0, 0, 128, 0, 0] if i % 2 == 0 else [128, 0, 0, 0, 0, 0])
        save(image, source / f"masks/{name}.png")
    out = run(source)
    for i, name in enumerate(NAMES):
        np.testing.assert_array_equal(load(out / f"masks/{name}.png"), pet(i) * 255)
    assert "guess: #800000 is pet; --pet-color changes it" in capsys.readouterr().out


def test_empty_masks_and_black_pets_are_noted(source: Path, capsys: pytest.CaptureFixture) -> None:
    save(np.zeros(SIZE[::-1], np.uint8), source / "masks/c.png")
    run(source)
    assert "note: 1 of 5 masks have no pet" in capsys.readouterr().out
    save_masks(source, lambda mask: (1 - mask) * 255)
    command.run(source, source.parent / "other", Options())
    assert "note: pets cover 75% of all pixels; if black is the pet, use --pet 0" in capsys.readouterr().out


def test_annotations_are_used_if_asked_for(source: Path) -> None:
    shape = {"label": "cat", "points": [[0, 0], [4, 4]], "shape_type": "rectangle"}
    (source / "c.json").write_text(json.dumps({"imagePath": "images/c.jpg", "shapes": [shape]}))
    out = run(source, masks="annotations")
    assert [path.name for path in (out / "masks").iterdir()] == ["c.png"]
    assert (load(out / "masks/c.png") > 0).sum() == 16


def test_an_annotation_of_another_size_is_an_error(source: Path) -> None:
    content = {"imagePath": "images/c.jpg", "shapes": [], "imageWidth": 10**9, "imageHeight": 10**9}
    (source / "c.json").write_text(json.dumps(content))
    sentence = f"{source}/images/c.jpg is 48 x 40 pixels, but its annotation says 1000000000 x 1000000000; use"
    assert refusal(source, masks="annotations").startswith(sentence)


def test_annotations_without_objects(source: Path) -> None:
    (source / "c.json").write_text(json.dumps({"imagePath": "images/c.jpg", "shapes": []}))
    assert refusal(source, masks="annotations").startswith(f"The annotations of {source} hold no object with an area")


def test_workers_do_not_change_the_result(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("petseg.importing.items.CHUNK", 1)
    one = run(source)
    monkeypatch.setenv("PETSEG_WORKERS", "2")
    two = source.parent / "two"
    command.run(source, two, Options())
    files = [path.relative_to(one) for path in sorted(one.rglob("*")) if path.is_file()]
    assert len(files) == 2 * len(NAMES) + 1
    for path in files:
        assert (one / path).read_bytes() == (two / path).read_bytes()


@pytest.mark.parametrize("out", ["own-clean", "a/b.c_d", "/x/größe", "it's mine", "a,b", "{a}"])
def test_the_next_command_can_be_typed(out: str) -> None:
    *words, value = shlex.split(command.next_command(Path(out)))
    assert words == ["dvc", "exp", "run", "-S", "data.source=folder", "-S"]
    [override] = OverridesParser.create().parse_overrides([value])
    assert (override.key_or_group, override.value()) == ("data.path", out)
