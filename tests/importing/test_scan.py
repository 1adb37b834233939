"""The files of a data set."""

import os
import tempfile
from pathlib import Path

import pytest

from petseg.importing import scan
from petseg.runtime.errors import DataError


def test_files_by_kind_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("a/b.JPG", "c.heic", "c.json", "d.xml", "train.txt", "e.cr2", ".hidden/f.jpg", "._g.jpg", "h.zip"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX/i.jpg").touch()
    found = scan.scan(tmp_path)
    assert [path.name for path in found.images] == ["c.heic", "b.JPG"]
    assert [path.name for path in found.annotations] == ["c.json", "d.xml"]
    assert [path.name for path in found.texts] == ["train.txt"]
    assert [path.name for path in found.unread] == ["e.cr2"]


def test_nothing_to_import(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no image; name the folder"):
        scan.scan(tmp_path)
    (tmp_path / "a.cr2").touch()
    with pytest.raises(DataError, match=r"holds no image that can be read, but a\.cr2; name"):
        scan.scan(tmp_path)
    with pytest.raises(DataError, match=r"a\.cr2 is a file; unpack it"):
        scan.scan(tmp_path / "a.cr2")
    with pytest.raises(DataError, match="nowhere does not exist; check its name"):
        scan.scan(tmp_path / "nowhere")


def test_a_folder_that_may_not_be_read() -> None:
    with tempfile.TemporaryDirectory() as name:
        closed = Path(name, "images")
        closed.mkdir()
        Path(name).chmod(0o755)
        closed.chmod(0)
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(65534)
            with pytest.raises(DataError, match=r"images cannot be read \(Permission denied\); change its permissions"):
                scan.scan(Path(name))
        finally:
            os.seteuid(user)
            closed.chmod(0o755)


def test_words() -> None:
    root = Path("/data")
    paths = [root / f"{i}.jpg" for i in range(5)]
    assert scan.describe(paths[:2], root) == "0.jpg, 1.jpg"
    assert scan.describe(paths[:4], root) == "0.jpg, 1.jpg, 2.jpg and 1 other"
    assert scan.describe(paths, root) == "0.jpg, 1.jpg, 2.jpg and 2 others"
    assert [scan.count(n, "image") for n in (0, 1, 2000)] == ["0 images", "1 image", "2,000 images"]
    assert scan.shared_start(["rex", "red", "re"]) == 2
    assert scan.shared_start([("a", "b"), ("a",), ()]) == 0
