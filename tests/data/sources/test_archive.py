import gzip
import io
import os
import stat
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


def test_files_and_folders_are_unpacked(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar.gz", member("images", tarfile.DIRTYPE), member("images/a.jpg"), member("./b/c.txt"))
    archive.extract(path, tmp_path / "out")
    assert contents(tmp_path / "out") == {"images", "images/a.jpg", "b", "b/c.txt"}
    assert (tmp_path / "out/images/a.jpg").read_bytes() == b"content"


def test_only_kept_members_are_written(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar.gz", member("images/a.jpg"), member("images/a.mat"))
    archive.extract(path, tmp_path / "out", keep=lambda path: path.suffix == ".jpg")
    assert contents(tmp_path / "out") == {"images", "images/a.jpg"}


def test_a_hard_link_inside_becomes_a_file(tmp_path: Path) -> None:
    """As tar stores the second of two hard-linked files, for example of two equal ones from DVC's cache."""
    path = pack(tmp_path / "a.tar.gz", member("images/a.jpg"), member("images/b.jpg", tarfile.LNKTYPE, "images/a.jpg"))
    archive.extract(path, tmp_path / "out")
    assert (tmp_path / "out/images/b.jpg").read_bytes() == b"content"
    archive.extract(path, tmp_path / "only_b", keep=lambda path: path.name == "b.jpg")
    assert (tmp_path / "only_b/images/b.jpg").read_bytes() == b"content"


DANGEROUS = {
    "absolute path": member("/tmp/petseg_escaped"),
    "absolute folder": member("/tmp/petseg_escaped", tarfile.DIRTYPE),
    "parent": member("../escaped"),
    "parent in the middle": member("images/../../escaped"),
    "symbolic link out": member("images/link", tarfile.SYMTYPE, "../../escaped"),
    "absolute symbolic link": member("images/link", tarfile.SYMTYPE, "/etc/passwd"),
    "hard link out": member("images/link", tarfile.LNKTYPE, "../secret"),
    "absolute hard link": member("images/link", tarfile.LNKTYPE, "/etc/passwd"),
    "character device": member("images/null", tarfile.CHRTYPE),
    "block device": member("images/disk", tarfile.BLKTYPE),
    "pipe": member("images/pipe", tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("name", DANGEROUS)
def test_dangerous_members_are_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("not for the archive")
    danger = DANGEROUS[name]
    path = pack(tmp_path / "a.tar.gz", member("images/good.jpg"), danger)
    before = contents(tmp_path)
    with pytest.raises(DataError) as error:
        archive.extract(path, tmp_path / "out")
    assert str(error.value).startswith(f"{path} is not safe to unpack: {danger.name} ")
    assert contents(tmp_path) == before
    assert not Path("/tmp/petseg_escaped").exists()


def test_members_that_are_not_kept_are_checked_too(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar.gz", member("../escaped"))
    with pytest.raises(DataError, match="not safe"):
        archive.extract(path, tmp_path / "out", keep=lambda path: False)


def test_writing_through_a_link_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar.gz", member("images", tarfile.SYMTYPE, str(tmp_path)), member("images/a.jpg"))
    with pytest.raises(DataError, match="symbolic link"):
        archive.extract(path, tmp_path / "out")
    assert contents(tmp_path) == {"a.tar.gz"}


@pytest.mark.parametrize("python_has_filter", [True, False])
def test_special_permissions_are_not_taken_over(tmp_path: Path, monkeypatch, python_has_filter: bool) -> None:
    if not python_has_filter:  # as Python 3.11.2
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    path = pack(tmp_path / "a.tar.gz", member("a", mode=0o7777), member("unreadable", mode=0))
    archive.extract(path, tmp_path / "out")
    mode = stat.S_IMODE(os.stat(tmp_path / "out/a").st_mode)
    assert mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX | stat.S_IWGRP | stat.S_IWOTH) == 0
    assert stat.S_IMODE(os.stat(tmp_path / "out/unreadable").st_mode) & stat.S_IRUSR


def test_a_truncated_archive(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar.gz", member("a.jpg"), content=os.urandom(10_000))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"a\.tar\.gz is truncated or not a tar\.gz file"):
        archive.extract(path, tmp_path / "out")
    assert contents(tmp_path) == {"a.tar.gz"}


@pytest.mark.parametrize(
    "content", [b"", b"<html>not found</html>", gzip.compress(b"no tar")], ids=["empty", "html", "gzip of text"]
)
def test_a_file_that_is_not_an_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)
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
