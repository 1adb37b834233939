"""Fetching from each source, and the stage."""

import io
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from petseg.config.params import ArchiveDigests, DataParams
from petseg.data import layout
from petseg.data.sources import fetch
from petseg.runtime.errors import DataError, PetsegError
from support.archives import write_archive
from support.paths import ROOT, real_data


def data(**changes: object) -> DataParams:
    values = {"source": "synthetic", "url": (), "path": "nowhere", "images": 40, "seed": 3}
    return DataParams(**{**values, "md5": ArchiveDigests(images="0" * 32, annotations="0" * 32), **changes})


def write_folder(folder: Path, names: tuple[str, ...] = ("a", "b", "c")) -> Path:
    """Writes images and masks as a user would."""
    pixels = np.zeros((8, 9), np.uint8)
    pixels[:4] = 255
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
        for name in names:
            Image.fromarray(pixels).save(folder / kind / f"{name}.png")
    return folder


def write_archives(folder: Path, lists: dict[str, str], names: tuple[str, ...]) -> ArchiveDigests:
    """Writes both archives, with a gray image and an all-pet trimap of each name; returns their MD5."""

    def png(value: int) -> bytes:
        buffer = io.BytesIO()
        Image.new("L", (9, 8), value).save(buffer, "png")
        return buffer.getvalue()

    annotations = {f"annotations/{name}": text.encode() for name, text in lists.items()}
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


def test_synthetic(out: Path) -> None:
    trainval, test = fetch.fetch(data(), out, workers=1)
    assert (len(trainval), len(test)) == (20, 20)
    assert layout.check(out) == (trainval, test)


def test_folder(tmp_path: Path, out: Path) -> None:
    path = write_folder(tmp_path / "mine")
    trainval, test = fetch.fetch(data(source="folder", path=str(path)), out, workers=1)
    assert ([entry.name for entry in trainval], [entry.name for entry in test]) == (["b", "c"], ["a"])


def test_oxford(tmp_path: Path, out: Path) -> None:
    sums = write_archives(tmp_path, {"trainval.txt": "Cat_1 1 1 1\n", "test.txt": "dog_1 2 2 1\n"}, ("Cat_1", "dog_1"))
    trainval, test = fetch.fetch(data(source="oxford", url=(tmp_path.as_uri(),), md5=sums), out, workers=1)
    assert trainval == [layout.Entry("Cat_1", "Cat", "cat")]
    assert test == [layout.Entry("dog_1", "dog", "dog")]


@pytest.mark.parametrize("source", ["folder", "oxford"])
def test_a_failing_source_is_never_replaced(
    tmp_path: Path, out: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PetsegError):
        fetch.fetch(data(source=source, url=(tmp_path.as_uri(),)), out, workers=1)
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
    sums = write_archives(tmp_path, {"trainval.txt": trainval, "test.txt": "dog_1 2 2 1\n"}, ("Cat_1", "dog_1"))
    with pytest.raises(DataError, match=sentence):
        fetch.fetch(data(source="oxford", url=(tmp_path.as_uri(),), md5=sums), out, workers=1)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the committed params.yaml."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    return project


def run_stage(project: Path, **changes: object) -> subprocess.CompletedProcess[str]:
    values = yaml.safe_load((project / "params.yaml").read_text())
    values["data"].update(changes)
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    command = [sys.executable, str(ROOT / "stages/fetch_data.py")]
    environment = {**os.environ, "PETSEG_WORKERS": "1"}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=120)


def test_stage(project: Path) -> None:
    write_folder(project / "own")
    result = run_stage(project, source="folder")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("fetch_data: folder, 2 trainval and 1 test images in ")
    assert {path.name for path in (project / "data").iterdir()} == {"raw"}
    assert {path.name for path in (project / "data/raw").iterdir()} == {"images", "annotations"}


def test_a_failing_stage_keeps_its_former_outputs(project: Path) -> None:
    write_folder(project / "own")
    assert run_stage(project, source="folder").returncode == 0
    (project / "own/masks/b.png").write_text("no image")
    result = run_stage(project)
    assert result.returncode == 1
    assert result.stderr == (
        "error: own/masks/b.png cannot be decoded (unknown image format); replace it, or remove b from the data set.\n"
    )
    assert {path.name for path in (project / "data").iterdir()} == {"raw"}
    assert (project / "data/raw/images/b.jpg").exists()


def test_stage_with_a_missing_mirror(project: Path) -> None:
    result = run_stage(project, source="oxford", url="file:///no/such/mirror")
    assert result.returncode == 1
    url = "file:///no/such/mirror/images.tar.gz"
    assert f"error: images.tar.gz could not be downloaded ({url}: No such file)" in result.stderr
    assert "Traceback" not in result.stderr
    assert list((project / "data").iterdir()) == []


def test_stage_on_real_archives(project: Path) -> None:
    mirror = real_data("oxford-pets-mini-288")
    sums = {"images": "dd3e5e50d700f37bae2068492d0c7f8d", "annotations": "b581190c36550f8df833aff84861f72a"}
    result = run_stage(project, source="oxford", url=mirror.resolve().as_uri(), md5=sums)
    assert result.returncode == 0, result.stderr
    assert "fetch_data: oxford, 300 trainval and 298 test images in " in result.stdout
    files = [path for path in (project / "data/raw").rglob("*") if path.is_file()]
    assert Counter(path.suffix for path in files) == {".jpg": 598, ".png": 598, ".txt": 3}
    assert not (project.parent / "cache").exists()  # local archives are used in place
