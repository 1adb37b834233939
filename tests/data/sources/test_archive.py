import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from petseg.data.sources import archive
from petseg.runtime.errors import DataError, PetsegError


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def pack(path: Path, *members: tarfile.TarInfo, content: bytes = b"content") -> Path:
    """A tar.gz of these members in order; every regular file holds `content`."""
    with tarfile.open(path, "w:gz") as tar:
        for info in members:
            info.size = len(content) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return path


def contents(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_wanted_files_are_unpacked(tmp_path: Path) -> None:
    members = [member("images", tarfile.DIRTYPE), *map(member, ("images/a.jpg", "./b/c.jpg", "images/a.mat"))]
    archive.extract(pack(tmp_path / "a.tar.gz", *members), tmp_path / "out", lambda path: path.suffix == ".jpg")
    assert contents(tmp_path / "out") == {"images", "images/a.jpg", "b", "b/c.jpg"}
    assert (tmp_path / "out/images/a.jpg").read_bytes() == b"content"


def test_a_hard_link_inside_becomes_a_file(tmp_path: Path) -> None:
    """As tar stores the second of two hard-linked files, for example of two equal ones from DVC's cache."""
    path = pack(tmp_path / "a.tar.gz", member("images/a.jpg"), member("images/b.jpg", tarfile.LNKTYPE, "images/a.jpg"))
    archive.extract(path, tmp_path / "out", lambda path: path.name == "b.jpg")
    assert contents(tmp_path / "out") == {"images", "images/b.jpg"}
    assert (tmp_path / "out/images/b.jpg").read_bytes() == b"content"


@pytest.mark.parametrize("name", ["{tmp_path}/escaped", "../escaped", "images/../../escaped"])
def test_a_path_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    name = name.format(tmp_path=tmp_path)
    path = pack(tmp_path / "a.tar.gz", member(name))
    with pytest.raises(DataError, match=f"^{path} is not safe to unpack: it holds {name};"):
        archive.extract(path, tmp_path / "out")
    assert contents(tmp_path) == {"a.tar.gz"}


@pytest.mark.parametrize("target", ["../secret", "/etc/passwd"])
def test_a_hard_link_to_a_file_outside_the_archive_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "secret").write_text("not for the archive")
    path = pack(tmp_path / "a.tar.gz", member("link", tarfile.LNKTYPE, target))
    with pytest.raises(DataError, match=r"linkname .* not found"):
        archive.extract(path, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.SYMTYPE])
def test_devices_pipes_and_symbolic_links_are_ignored(tmp_path: Path, kind: bytes) -> None:
    path = pack(tmp_path / "a.tar.gz", member("images", kind, str(tmp_path)), member("images/a.jpg"))
    archive.extract(path, tmp_path / "out")
    assert contents(tmp_path) == {"a.tar.gz", "out", "out/images", "out/images/a.jpg"}


def test_permissions_are_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "ordinary").write_text("")
    archive.extract(pack(tmp_path / "a.tar.gz", member("a", mode=0o7777), member("b", mode=0)), tmp_path / "out")
    for name in ("a", "b"):
        assert (tmp_path / "out" / name).stat().st_mode == (tmp_path / "ordinary").stat().st_mode


@pytest.mark.parametrize("content", [None, b"", b"<html>not found</html>", gzip.compress(b"no tar", mtime=0)])
def test_a_truncated_archive_and_files_that_are_none(tmp_path: Path, content: bytes | None) -> None:
    path = pack(tmp_path / "a.tar.gz", member("a.jpg"), content=os.urandom(10_000))
    path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    with pytest.raises(DataError, match=r"a\.tar\.gz is truncated or not a tar\.gz file"):
        archive.extract(path, tmp_path / "out")


def test_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    path = pack(tmp_path / "a.tar.gz", member("a.jpg"), content=bytes(300_000))
    with pytest.raises(PetsegError, match="The disk is full"):
        archive.extract(path, small_disk)


def test_contradicting_members(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar.gz", member("a"), member("a/b"))  # a cannot be both file and folder
    with pytest.raises(PetsegError, match="could not be unpacked"):
        archive.extract(path, tmp_path / "out")
