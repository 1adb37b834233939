"""Findings about how a data set is divided."""

import pytest
from PIL import ExifTags

from petseg.audit import command
from support.audited import kinds, picture, some_pictures, write_official, write_own


@pytest.fixture(autouse=True)
def cache_here(tmp_path, monkeypatch):
    monkeypatch.setenv("PETSEG_CACHE", str(tmp_path / "cache"))


def test_few_test_images_and_missing_breeds(tmp_path):
    pictures = some_pictures(4) | {"rex_1": picture(8), "rex_2": picture(9)}
    result = command.audit(write_official(tmp_path / "raw", pictures, test={"blob_0"}), workers=1)
    sentences = {finding.kind: finding.sentence for finding in result.findings}
    assert "Only 1 image is for testing" in sentences["few-test-images"]
    assert "rex in test" in sentences["missing-breeds"]
    assert "blob in" not in sentences["missing-breeds"]


def test_own_names_with_numbers_that_cross_splits(tmp_path):
    names = [f"{name}_{i}" for name in ("ada", "rex") for i in range(6)]
    folder = write_own(tmp_path / "own", {name: picture(i) for i, name in enumerate(names)})
    assert kinds(command.audit(folder, workers=1))["names-cross-splits"] == names
    (folder / "test.txt").write_text("\n".join(name for name in names if name.startswith("rex")))
    assert "names-cross-splits" not in kinds(command.audit(folder, workers=1))


def taken(image, second):
    exif = image.getexif()
    exif[ExifTags.Base.Model] = "Camera"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = f"2024:05:01 10:00:{second:02}"
    return exif


def test_a_burst_that_crosses_splits_is_named(tmp_path):
    folder = write_own(tmp_path / "own", some_pictures(6))
    for i, second in ((1, 3), (2, 8), (3, 40), (4, 59)):
        image = picture(i)[0]
        image.save(folder / f"images/blob_{i}.png", exif=taken(image, second))
    (folder / "test.txt").write_text("blob_2\nblob_4\n")
    assert kinds(command.audit(folder, workers=1))["burst-crosses-splits"] == ["blob_1", "blob_2"]
