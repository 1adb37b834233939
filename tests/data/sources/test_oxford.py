"""The source `oxford`, with small archives; real ones are in test_sources.py."""

from pathlib import Path

import pytest

from petseg.config.params import ArchiveDigests, DataParams
from petseg.data import layout
from petseg.data.sources import oxford
from petseg.runtime import download
from petseg.runtime.errors import PetsegError
from support.archives import write_archive


def data(url: tuple[str, ...], images: str, annotations: str) -> DataParams:
    md5 = ArchiveDigests(images=images, annotations=annotations)
    return DataParams(source="oxford", url=url, md5=md5, path="own", images=40, seed=0)


IMAGES = {
    "images/Cat_1.jpg": b"cat",
    "images/dog_1.jpg": b"dog",
    "images/Cat_1.mat": b"junk",
    "images/._Cat_1.jpg": b"junk",
    "images/deeper/Cat_2.jpg": b"junk",
    "images/../../evil.jpg": b"evil",
}
ANNOTATIONS = {
    "./annotations/README": b"junk",
    "./annotations/._trimaps": b"junk",
    "./annotations/list.txt": b"#Image CLASS-ID SPECIES BREED ID\nCat_1 1 1 1\ndog_1 2 2 1\n",
    "./annotations/trainval.txt": b"Cat_1 1 1 1\n",
    "./annotations/test.txt": b"dog_1 2 2 1\n",
    "./annotations/trimaps/Cat_1.png": b"cat trimap",
    "./annotations/trimaps/._Cat_1.png": b"junk",
    "./annotations/trimaps/dog_1.png": b"dog trimap",
    "./annotations/xmls/Cat_1.xml": b"junk",
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PETSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def params(tmp_path: Path, cache: Path) -> DataParams:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    images = write_archive(mirror / "images.tar.gz", IMAGES)
    annotations = write_archive(mirror / "annotations.tar.gz", ANNOTATIONS)
    return data((mirror.as_uri() + "/",), images, annotations)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_only_the_official_layout_is_unpacked(params: DataParams, tmp_path: Path) -> None:
    out = tmp_path / "out"
    oxford.fetch(params, out)
    assert files(out) == {
        "images/Cat_1.jpg",
        "images/dog_1.jpg",
        "annotations/list.txt",
        "annotations/trainval.txt",
        "annotations/test.txt",
        "annotations/trimaps/Cat_1.png",
        "annotations/trimaps/dog_1.png",
    }
    assert (out / "images/Cat_1.jpg").read_bytes() == b"cat"
    assert (out / "annotations/trimaps/Cat_1.png").read_bytes() == b"cat trimap"
    trainval, test = layout.check(out)
    assert (trainval[0].name, test[0].name) == ("Cat_1", "dog_1")


def test_nothing_is_unpacked_before_both_are_verified(params: DataParams, tmp_path: Path) -> None:
    wrong = params.model_copy(update={"md5": ArchiveDigests(images=params.md5.images, annotations="0" * 32)})
    with pytest.raises(PetsegError, match=r"annotations\.tar\.gz could not be downloaded .* instead of 0{32}"):
        oxford.fetch(wrong, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_cached_archives_are_used(params: DataParams, tmp_path: Path, cache: Path) -> None:
    cache.mkdir()
    mirror = tmp_path / "mirror"
    for name, md5 in (("images.tar.gz", params.md5.images), ("annotations.tar.gz", params.md5.annotations)):
        (mirror / name).rename(download.cache_path(name, md5))
    oxford.fetch(params, tmp_path / "out")  # the mirror is empty now
    assert len(files(tmp_path / "out")) == 7
