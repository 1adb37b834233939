"""Fetching from each source, and the stage."""

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from petseg.config.params import ArchiveDigests, DataParams
from petseg.data.sources import fetch
from petseg.runtime.errors import DataError, PetsegError
from support.archives import write_archive
from support.paths import real_data
from support.stages import run_stage


def data(source: str, md5: ArchiveDigests | None = None, url: Path | str = "", path: Path | str = "nowhere"):
    url = url.as_uri() if isinstance(url, Path) else url
    md5 = md5 or ArchiveDigests(images="0" * 32, annotations="0" * 32)
    return DataParams(source=source, url=(url,), path=str(path), images=40, seed=3, md5=md5)


def write_folder(folder: Path) -> Path:
    """Writes three images and masks as a user would."""
    pixels = np.zeros((8, 9), np.uint8)
    pixels[:4] = 255
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
        for name in ("a", "b", "c"):
            Image.fromarray(pixels).save(folder / kind / f"{name}.png")
    return folder


def write_archives(folder: Path, trainval: str, test: str = "dog_1 2 2 1\n") -> ArchiveDigests:
    """Writes both archives, with a gray image and an all-pet trimap of Cat_1 and dog_1; returns their MD5."""

    def png(value: int) -> bytes:
        buffer = io.BytesIO()
        Image.new("L", (9, 8), value).save(buffer, "png")
        return buffer.getvalue()

    names = ("Cat_1", "dog_1")
    annotations = {"annotations/trainval.txt": trainval.encode(), "annotations/test.txt": test.encode()}
    annotations |= {f"annotations/trimaps/{name}.png": png(1) for name in names}
    return ArchiveDigests(
        images=write_archive(folder / "images.tar.gz", {f"images/{name}.jpg": png(90) for name in names}),
        annotations=write_archive(folder / "annotations.tar.gz", annotations),
    )


@pytest.fixture
def out(tmp_path: Path) -> Path:
    out = tmp_path / "raw"
    out.mkdir()
    return out


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PETSEG_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("source", ["folder", "oxford"])
def test_a_failing_source_is_never_replaced(tmp_path: Path, out: Path, source: str) -> None:
    with pytest.raises(PetsegError):
        fetch.fetch(data(source, url=tmp_path), out, workers=1)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("trainval", "sentence"),
    [
        ("Cat_1 1 1 1\nCat_2 1 1 1\n", r"images/Cat_2.jpg \(and 1 more\) does not exist"),
        ("dog_1 2 2 1\n", "dog_1 is in"),
        ("", "lists no"),
    ],
    ids=["missing image", "in both lists", "empty list"],
)
def test_invalid_archives_are_refused(tmp_path: Path, out: Path, trainval: str, sentence: str) -> None:
    md5 = write_archives(tmp_path, trainval)
    with pytest.raises(DataError, match=sentence):
        fetch.fetch(data("oxford", md5, tmp_path), out, workers=1)


def test_a_failing_stage_keeps_its_former_outputs(tmp_path: Path) -> None:
    write_folder(tmp_path / "own")
    result = run_stage(tmp_path, "fetch_data.py", source="folder")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("fetch_data: folder, 2 trainval and 1 test images in ")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["raw"]
    assert {path.name for path in (tmp_path / "data/raw").iterdir()} == {"images", "annotations"}

    (tmp_path / "own/masks/b.png").write_text("no image")
    result = run_stage(tmp_path, "fetch_data.py", source="folder")
    assert result.returncode == 1
    assert result.stderr == (
        "error: own/masks/b.png cannot be decoded (unknown image format); replace it, or remove b from the data set.\n"
    )
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["raw"]
    assert (tmp_path / "data/raw/images/b.jpg").exists()


def test_stage_with_a_missing_mirror(tmp_path: Path) -> None:
    result = run_stage(tmp_path, "fetch_data.py", source="oxford", url="file:///no/such/mirror")
    assert result.returncode == 1
    url = "file:///no/such/mirror/images.tar.gz"
    assert f"error: images.tar.gz could not be downloaded ({url}: No such file)" in result.stderr
    assert "Traceback" not in result.stderr
    assert list((tmp_path / "data").iterdir()) == []


def test_stage_on_real_archives(tmp_path: Path) -> None:
    url = real_data("oxford-pets-mini-288").resolve().as_uri()
    md5 = {"images": "dd3e5e50d700f37bae2068492d0c7f8d", "annotations": "b581190c36550f8df833aff84861f72a"}
    result = run_stage(tmp_path, "fetch_data.py", source="oxford", url=url, md5=md5)
    assert result.returncode == 0, result.stderr
    assert "fetch_data: oxford, 300 trainval and 298 test images in " in result.stdout
    files = [path for path in (tmp_path / "data/raw").rglob("*") if path.is_file()]
    assert Counter(path.suffix for path in files) == {".jpg": 598, ".png": 598, ".txt": 3}
    assert not (tmp_path / "cache").exists()  # local archives are used in place
