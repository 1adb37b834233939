"""Which images and masks a folder holds."""

import pytest

from petseg.audit import samples
from petseg.data.sources import folder as source
from petseg.runtime.errors import DataError
from support.audited import some_pictures, write_official, write_own


def test_own_data_is_divided_as_the_pipeline_will_divide_it(tmp_path):
    own, raw = write_own(tmp_path / "own", some_pictures(12)), tmp_path / "raw"
    raw.mkdir()
    source.fetch(own, raw, workers=1)
    tested = {line.split()[0] for line in (raw / "annotations/test.txt").read_text().splitlines()}
    assert {sample.name for sample in samples.find(own).splits["test"]} == tested


@pytest.mark.parametrize("listed", ["test", "trainval", "both"])
def test_own_lists_are_followed(tmp_path, listed):
    own = write_own(tmp_path / "own", some_pictures(5))
    if listed in ("test", "both"):
        (own / "test.txt").write_text("# mine\nblob_1.png\n")
    if listed in ("trainval", "both"):
        (own / "trainval.txt").write_text("blob_0\nblob_2\n")
    found = {name: [sample.name for sample in each] for name, each in samples.find(own).splits.items()}
    rest = {
        "test": ["blob_0", "blob_2", "blob_3", "blob_4"],
        "trainval": ["blob_0", "blob_2"],
        "both": ["blob_0", "blob_2"],
    }
    tests = {"test": ["blob_1"], "trainval": ["blob_1", "blob_3", "blob_4"], "both": ["blob_1"]}
    assert found == {"trainval": rest[listed], "test": tests[listed]}


def test_the_official_lists_decide_which_images_are_used(tmp_path):
    raw = write_official(tmp_path / "raw", some_pictures(4), test={"blob_1"})
    (raw / "images/unlisted.jpg").write_bytes(b"")
    (raw / "annotations/trimaps/blob_2.png").unlink()
    found = samples.find(raw)
    assert [sample.name for sample in found.samples] == ["blob_0", "blob_1", "blob_3"]
    assert [(finding.kind, finding.images) for finding in found.findings] == [("no-mask", ["blob_2"])]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ((), "must hold images/ and masks/"),
        (("images.tar.gz", "annotations.tar.gz"), "unpack both"),
        (("images/a.png", "masks/b.png"), "no image that has a mask of the same name"),
    ],
    ids=["empty", "archives", "no-pair"],
)
def test_a_folder_that_is_no_data_set_is_refused_with_a_cure(tmp_path, files, words):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=words):
        samples.find(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="does not exist; give a folder that exists"):
        samples.find(tmp_path / "nowhere")
