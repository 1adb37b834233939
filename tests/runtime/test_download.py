"""Downloads from failing mirrors: verification, retries, resumption, the cache and its lock."""

import hashlib
import socket
import threading
from pathlib import Path

import pytest

from petseg.runtime import download
from petseg.runtime.errors import ParamsError, PetsegError
from support.mirror import CONTENT, CUT, MD5, Server, part_of, visible


def test_a_download_is_verified_and_cached(server: Server, destination: Path, capsys) -> None:
    assert download.fetch([server.url("good")], MD5, destination) == destination
    assert destination.read_bytes() == CONTENT
    assert not part_of(destination).exists()
    assert download.fetch([server.url("good")], MD5, destination) == destination
    assert server.requests == [("good", None)]  # the second call used the cache
    assert capsys.readouterr().err == "good: downloading, 0.0 of 0.3 MB are here\n"


def test_a_damaged_file_is_replaced(server: Server, destination: Path) -> None:
    destination.parent.mkdir()
    destination.write_bytes(CONTENT[:-1] + b"x")
    download.fetch([server.url("good")], MD5, destination)
    assert destination.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("name", "ranges"),
    [
        ("no_length", [None]),
        ("busy", [None, None, None]),
        ("cut", [None, f"bytes={CUT}-", f"bytes={2 * CUT}-", f"bytes={3 * CUT}-"]),
        ("cut_no_range", [None, f"bytes={CUT}-"]),
    ],
)
def test_transfers_are_retried_and_resumed(server: Server, destination: Path, name: str, ranges: list) -> None:
    download.fetch([server.url(name)], MD5, destination)
    assert destination.read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == ranges


def test_tries_that_receive_bytes_do_not_count(server: Server, destination: Path, monkeypatch) -> None:
    monkeypatch.setattr(download, "WAITS", (0.01,))
    download.fetch([server.url("cut")], MD5, destination)  # cut three times, one retry allowed
    assert destination.read_bytes() == CONTENT


def test_a_transfer_without_progress_is_given_up_and_its_part_kept(server: Server, destination: Path) -> None:
    with pytest.raises(PetsegError, match=rf"{CUT} bytes read, .* more expected\), after 4 tries"):
        download.fetch([server.url("always_cut")], MD5, destination)
    assert len(server.requests) == 4
    assert visible(destination.parent) == []
    assert part_of(destination).read_bytes() == CONTENT[:CUT]
    server.requests.clear()
    download.fetch([server.url("gone"), server.url("good")], MD5, destination)  # a later call, another mirror
    assert destination.read_bytes() == CONTENT
    assert server.requests == [("gone", f"bytes={CUT}-"), ("good", f"bytes={CUT}-")]


@pytest.mark.parametrize(
    ("part", "ranges"),
    [(b"something else", ["bytes=14-", None]), (b"x" * 400_000, ["bytes=400000-", None]), (CONTENT, ["bytes=300000-"])],
    ids=["wrong and shorter", "wrong and longer", "complete"],
)
def test_a_part_is_used_only_if_right(server: Server, destination: Path, part: bytes, ranges: list) -> None:
    destination.parent.mkdir()
    part_of(destination).write_bytes(part)
    download.fetch([server.url("good")], MD5, destination)
    assert destination.read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == ranges


def test_permanent_errors_are_not_retried_and_the_next_mirror_is_used(server: Server, destination: Path) -> None:
    download.fetch([server.url("gone"), server.url("wrong"), server.url("good")], MD5, destination)
    assert destination.read_bytes() == CONTENT
    assert [name for name, _ in server.requests] == ["gone", "wrong", "good"]


def test_the_error_is_one_sentence_with_each_mirror_and_reason(server: Server, destination: Path) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound but not listening
        refused = f"http://127.0.0.1:{reserved.getsockname()[1]}/images.tar.gz"
        with pytest.raises(PetsegError, match=r"^images\.tar\.gz could not be downloaded ") as error:
            download.fetch([refused, *map(server.url, ("gone", "broken", "wrong"))], MD5, destination)
    text = str(error.value)
    found = hashlib.md5(b"a page that says sorry").hexdigest()
    assert f"{refused}: Connection refused, after 4 tries;" in text
    assert f"{server.url('gone')}: HTTP 404 Not Found;" in text
    assert f"{server.url('broken')}: HTTP 500 Internal Server Error, after 4 tries;" in text
    assert f"{server.url('wrong')}: wrong content, 22 bytes with MD5 {found} instead of {MD5})" in text
    assert "data.url and data.md5" in text
    assert "\n" not in text
    assert visible(destination.parent) == []
    assert part_of(destination).read_bytes() == b""  # wrong content must not be resumed


def test_a_silent_server_times_out(server: Server, destination: Path, monkeypatch) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    monkeypatch.setattr(download, "WAITS", ())
    with pytest.raises(PetsegError, match="timed out, after 1 tries"):
        download.fetch([server.url("silent")], MD5, destination)


def test_local_files_are_used_in_place(server: Server, tmp_path: Path, destination: Path) -> None:
    good, wrong, missing = (tmp_path / f"{name} file.tar.gz" for name in ("good", "wrong", "missing"))
    good.write_bytes(CONTENT)
    wrong.write_bytes(b"wrong")
    assert download.fetch([good.as_uri()], MD5, destination) == good
    assert not destination.parent.exists()
    with pytest.raises(PetsegError) as error:
        download.fetch([missing.as_uri(), wrong.as_uri()], MD5, destination)
    assert f"{missing.as_uri()}: No such file" in str(error.value)
    assert f"{wrong.as_uri()}: wrong content, 5 bytes" in str(error.value)
    assert wrong.read_bytes() == b"wrong"  # the user's file is never deleted
    assert download.fetch([missing.as_uri(), server.url("good")], MD5, destination) == destination


@pytest.mark.parametrize("url", ["/data/mirror/images.tar.gz", "ftp://host/images.tar.gz", "file://host/x", None])
def test_unusable_urls_are_refused_before_any_request(server: Server, destination: Path, url: str | None) -> None:
    urls = [] if url is None else [server.url("good"), url]
    with pytest.raises(ParamsError, match=rf"data\.url is {url or 'empty'}; it must list http, https or file URLs"):
        download.fetch(urls, MD5, destination)
    assert server.requests == []


def test_a_cache_that_is_not_a_folder(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(PetsegError, match="set PETSEG_CACHE"):
        download.fetch([server.url("good")], MD5, tmp_path / "cache" / "images.tar.gz")


def test_a_full_disk_keeps_the_part(server: Server, small_disk: Path) -> None:
    destination = small_disk / "images.tar.gz"
    with pytest.raises(PetsegError, match=r"The disk is full: .*PETSEG_CACHE"):
        download.fetch([server.url("good")], MD5, destination)
    assert visible(small_disk) == []
    content = part_of(destination).read_bytes()
    assert content
    assert CONTENT.startswith(content)


def test_an_interrupt_keeps_the_part(server: Server, destination: Path, monkeypatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(download.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        download.fetch([server.url("cut")], MD5, destination)
    assert part_of(destination).read_bytes() == CONTENT[:CUT]
    assert visible(destination.parent) == []


def test_a_second_process_waits_and_uses_the_result(server: Server, destination: Path, monkeypatch) -> None:
    waiting = threading.Event()
    monkeypatch.setattr(download, "_print", lambda line: waiting.set() if "another process" in line else None)
    monkeypatch.setattr(download, "LOCK_EVERY", 0.01)
    second = threading.Thread(target=download.fetch, args=([server.url("good")], MD5, destination))
    with download._lock(destination):  # as held by the first process while it downloads
        second.start()
        assert waiting.wait(10)
        destination.write_bytes(CONTENT)
    second.join(10)
    assert not second.is_alive()
    assert server.requests == []


def test_cache_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PETSEG_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert download.cache_path("a.tar.gz", MD5) == tmp_path / ".cache/petseg" / f"{MD5}-a.tar.gz"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert download.cache_path("a.tar.gz", MD5) == Path("/xdg/petseg") / f"{MD5}-a.tar.gz"
    monkeypatch.setenv("PETSEG_CACHE", "~/own")
    assert download.cache_path("a.tar.gz", MD5) == tmp_path / "own" / f"{MD5}-a.tar.gz"
