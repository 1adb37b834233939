"""Mirrors in turn, verification, the cache and its lock."""

import hashlib
import os
import threading
from pathlib import Path

import pytest

from petseg.runtime import download
from petseg.runtime.errors import ParamsError, PetsegError
from support.mirror import CONTENT, MD5, Server, part_of, visible


def test_fetches_verifies_and_keeps(server: Server, destination: Path) -> None:
    assert download.fetch([server.url("good")], MD5, destination) == destination
    assert destination.read_bytes() == CONTENT
    assert not part_of(destination).exists()
    assert download.fetch([server.url("good")], MD5, destination) == destination
    assert server.asked == [("good", None)]  # once: the second call found it


def test_replaces_a_damaged_file(server: Server, destination: Path) -> None:
    destination.parent.mkdir()
    destination.write_bytes(CONTENT[:-1] + b"x")
    download.fetch([server.url("good")], MD5, destination)
    assert destination.read_bytes() == CONTENT


def test_a_later_call_and_another_mirror_continue(server: Server, destination: Path) -> None:
    with pytest.raises(PetsegError):
        download.fetch([server.url("always_cut")], MD5, destination)
    server.asked.clear()
    download.fetch([server.url("gone"), server.url("good")], MD5, destination)
    assert destination.read_bytes() == CONTENT
    assert server.asked == [("gone", "bytes=50000-"), ("good", "bytes=50000-")]


@pytest.mark.parametrize("stale", [b"something else", b"x" * 400_000], ids=["shorter", "longer"])
def test_discards_a_stale_part(server: Server, destination: Path, stale: bytes) -> None:
    destination.parent.mkdir()
    part_of(destination).write_bytes(stale)
    download.fetch([server.url("good")], MD5, destination)
    assert destination.read_bytes() == CONTENT
    assert server.asked == [("good", f"bytes={len(stale)}-"), ("good", None)]


def test_takes_a_part_that_is_whole(server: Server, destination: Path) -> None:
    destination.parent.mkdir()
    part_of(destination).write_bytes(CONTENT)
    download.fetch([server.url("good")], MD5, destination)
    assert destination.read_bytes() == CONTENT
    assert server.asked == [("good", "bytes=300000-")]


def test_a_final_answer_is_asked_once_and_the_next_mirror_taken(server: Server, destination: Path) -> None:
    download.fetch([server.url("gone"), server.url("wrong"), server.url("good")], MD5, destination)
    assert destination.read_bytes() == CONTENT
    assert [path for path, _ in server.asked] == ["gone", "wrong", "good"]


def test_one_sentence_names_every_mirror_and_its_reason(server: Server, destination: Path) -> None:
    with pytest.raises(PetsegError) as error:
        download.fetch([server.url("gone"), server.url("broken"), server.url("wrong")], MD5, destination)
    text = str(error.value)
    got = hashlib.md5(b"a page that says sorry").hexdigest()
    assert f"{server.url('gone')}: HTTP 404 Not Found" in text
    assert f"{server.url('broken')}: HTTP 500 Internal Server Error, after 4 tries" in text
    assert f"{server.url('wrong')}: wrong content, 22 bytes with MD5 {got} where {MD5} is expected" in text
    assert "data.url and data.md5" in text
    assert "\n" not in text
    assert visible(destination.parent) == []
    assert not part_of(destination).exists()  # wrong content is no beginning to go on from


def test_a_file_is_read_in_place(tmp_path: Path, destination: Path) -> None:
    mirror = tmp_path / "a mirror" / "images.tar.gz"
    mirror.parent.mkdir()
    mirror.write_bytes(CONTENT)
    assert download.fetch([mirror.as_uri()], MD5, destination) == mirror
    assert not destination.parent.exists()


def test_a_missing_or_wrong_file_moves_on(server: Server, tmp_path: Path, destination: Path) -> None:
    wrong = tmp_path / "wrong.tar.gz"
    wrong.write_bytes(b"wrong")
    missing = tmp_path / "missing.tar.gz"
    with pytest.raises(PetsegError) as error:
        download.fetch([missing.as_uri(), wrong.as_uri()], MD5, destination)
    assert f"{missing.as_uri()}: No such file or directory" in str(error.value)
    assert f"{wrong.as_uri()}: wrong content, 5 bytes" in str(error.value)
    assert wrong.read_bytes() == b"wrong"  # the user's, not ours to remove
    assert download.fetch([missing.as_uri(), server.url("good")], MD5, destination) == destination


@pytest.mark.parametrize("url", ["/data/mirror/images.tar.gz", "ftp://host/images.tar.gz", "http://[half/x"])
def test_other_addresses_are_refused_before_any_work(server: Server, destination: Path, url: str) -> None:
    with pytest.raises(ParamsError, match="is no http, https or file address"):
        download.fetch([server.url("good"), url], MD5, destination)
    assert server.asked == []


def test_no_address(destination: Path) -> None:
    with pytest.raises(ParamsError, match=r"data\.url is empty"):
        download.fetch([], MD5, destination)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PetsegError, match="set PETSEG_CACHE"):
            download.fetch([server.url("good")], MD5, tmp_path / "cache" / "images.tar.gz")
    finally:
        tmp_path.chmod(0o700)


def test_a_cache_that_is_no_folder(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(PetsegError, match="set PETSEG_CACHE"):
        download.fetch([server.url("good")], MD5, tmp_path / "cache" / "images.tar.gz")


def test_two_at_once_download_once(server: Server, destination: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = threading.Event()
    monkeypatch.setattr(download, "say", lambda line: waiting.set() if "another process" in line else None)
    destination.parent.mkdir()
    second = threading.Thread(target=download.fetch, args=([server.url("good")], MD5, destination))
    with download._locked(destination):  # as the first process does while it downloads
        second.start()
        assert waiting.wait(10)
        destination.write_bytes(CONTENT)
    second.join(10)
    assert not second.is_alive()
    assert server.asked == []


def test_cache_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PETSEG_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert download.cache_path("a.tar.gz", MD5) == tmp_path / ".cache/petseg" / f"{MD5}-a.tar.gz"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert download.cache_path("a.tar.gz", MD5) == Path("/xdg/petseg") / f"{MD5}-a.tar.gz"
    monkeypatch.setenv("PETSEG_CACHE", "~/own")
    assert download.cache_path("a.tar.gz", MD5) == tmp_path / "own" / f"{MD5}-a.tar.gz"
