"""Findings about images."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from petseg.audit import command
from petseg.audit.findings import ERROR
from support.audited import kinds, picture, some_pictures, write_own

SIZE = (240, 180)


@pytest.fixture(autouse=True)
def cache_here(tmp_path, monkeypatch):
    monkeypatch.setenv("PETSEG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    return write_own(tmp_path / "own", some_pictures(12))


def save(image, path):
    image.save(path)


def save_frames(image, path):
    image.save(path, "TIFF", save_all=True, append_images=[image, image])


def save_high_bytes(image, path):
    Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 16).save(path)


def cut(image, path):
    image.save(path)
    path.write_bytes(path.read_bytes()[:-2000])


def darken(image, path):
    image.point(lambda value: value // 16).save(path)


def brighten(image, path):
    image.point(lambda value: 240 + value // 16).save(path)


def flatten(image, path):
    image.point(lambda value: 100 + value // 32).save(path)


DAMAGES = {
    "truncated-image": cut,
    "unusable-image": lambda image, path: path.write_text("not an image"),
    "several-frames": save_frames,
    "unused-bits": save_high_bytes,
    "dark-image": darken,
    "bright-image": brighten,
    "flat-image": flatten,
    "blurred-image": lambda image, path: image.filter(ImageFilter.GaussianBlur(12)).save(path),
    "gray-image": lambda image, path: image.convert("L").save(path),
    "wrong-suffix": lambda image, path: image.save(path, "GIF"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_one_bad_image_is_named(folder, kind):
    DAMAGES[kind](picture(3)[0], folder / "images/blob_3.png")
    result = command.audit(folder, workers=1)
    assert kinds(result)[kind] == ["blob_3"]
    assert result.failed == (kind in ("truncated-image", "unusable-image"))


@pytest.mark.parametrize(("kind", "size"), [("tiny-image", (120, 80)), ("extreme-aspect", (600, 150))])
def test_sizes_out_of_the_ordinary_are_named(tmp_path, kind, size):
    folder = write_own(tmp_path / "own", some_pictures(4) | {"odd": picture(9, size)})
    assert kinds(command.audit(folder, workers=1))[kind] == ["odd"]


def write_turned(folder, orientation, transpose):
    """Stores blob_3 turned, with the EXIF orientation that turns it back; the mask fits the upright image."""
    image = picture(3)[0].transpose(transpose)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(folder / "images/blob_3.png", exif=exif)


def test_a_mask_of_the_upright_image_is_found_where_sizes_cannot_tell(folder):
    write_turned(folder, 3, Image.Transpose.ROTATE_180)
    assert kinds(command.audit(folder, workers=1))["exif-rotation"] == ["blob_3"]


def test_a_quarter_turn_is_applied_as_the_pipeline_does(folder):
    write_turned(folder, 6, Image.Transpose.ROTATE_90)
    result = command.audit(folder, workers=1)
    assert not {"exif-rotation", "size-mismatch"} & set(kinds(result))
    assert (result.facts["blob_3"].width, result.facts["blob_3"].height) == SIZE


def test_images_and_masks_without_partner_are_errors(folder):
    (folder / "masks/blob_3.png").unlink()
    (folder / "images/blob_4.png").unlink()
    result = command.audit(folder, workers=1)
    assert kinds(result)["no-mask"] == ["blob_3"]
    assert kinds(result)["no-image"] == ["blob_4"]
    assert {finding.kind for finding in result.findings if finding.severity == ERROR} == {"no-mask", "no-image"}
