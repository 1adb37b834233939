"""One transfer from a mirror that misbehaves, through `download.fetch` as the pipeline does it."""

import errno
import socket
from pathlib import Path

import pytest

from petseg.runtime import download, transfer, transfer_progress
from petseg.runtime.errors import PetsegError
from support.mirror import CONTENT, MD5, Server, part_of, visible


def test_works_without_content_length(server: Server, destination: Path) -> None:
    download.fetch([server.url("no_length")], MD5, destination)
    assert destination.read_bytes() == CONTENT


def test_resumes_a_cut_transfer(server: Server, destination: Path) -> None:
    download.fetch([server.url("cut")], MD5, destination)
    assert destination.read_bytes() == CONTENT
    assert server.asked == [("cut", None), ("cut", "bytes=100000-"), ("cut", "bytes=200000-")]


def test_tries_that_bring_something_are_not_counted(
    server: Server, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "WAITS", (0.01,))
    download.fetch([server.url("cut")], MD5, destination)  # two cuts, one wait
    assert destination.read_bytes() == CONTENT


def test_starts_again_where_range_is_ignored(server: Server, destination: Path) -> None:
    download.fetch([server.url("cut_no_range")], MD5, destination)
    assert destination.read_bytes() == CONTENT
    assert server.asked == [("cut_no_range", None), ("cut_no_range", "bytes=100000-")]


def test_gives_up_where_nothing_new_comes(server: Server, destination: Path) -> None:
    with pytest.raises(PetsegError, match=r"cut after 50000 of 300000 bytes, after 4 tries"):
        download.fetch([server.url("always_cut")], MD5, destination)
    assert len(server.asked) == 4
    assert visible(destination.parent) == []
    assert part_of(destination).read_bytes() == CONTENT[:50_000]


def test_retries_a_busy_server(server: Server, destination: Path) -> None:
    download.fetch([server.url("busy")], MD5, destination)
    assert destination.read_bytes() == CONTENT
    assert len(server.asked) == 3


def test_a_silent_server_times_out(server: Server, destination: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "TIMEOUT", 0.1)
    monkeypatch.setattr(transfer, "WAITS", ())
    with pytest.raises(PetsegError, match=r"no answer for 0\.1 s, after 1 tries"):
        download.fetch([server.url("silent")], MD5, destination)


def test_no_server(server: Server, destination: Path) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound but not listening: refused
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/images.tar.gz"
        with pytest.raises(PetsegError, match=r"images\.tar\.gz could not be fetched .*Connection refused"):
            download.fetch([url], MD5, destination)


def test_an_unknown_host_is_not_tried_again(server: Server, destination: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "WAITS", (60.0,))  # would be noticed
    with pytest.raises(PetsegError, match="the host is not found, is there a network"):
        download.fetch(["http://nowhere.invalid/images.tar.gz"], MD5, destination)


def test_no_route_is_not_tried_again(server: Server, destination: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(transfer, "WAITS", (60.0,))
    monkeypatch.setattr(socket, "create_connection", unreachable)
    with pytest.raises(PetsegError, match="no network"):
        download.fetch([server.url("good")], MD5, destination)


def test_full_disk_keeps_the_part(server: Server, destination: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        """A file on a disk that takes 100,000 bytes."""

        def __init__(self, path: Path, mode: str) -> None:
            self.file = open(path, mode)  # noqa: SIM115

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *args: object) -> None:
            self.file.close()

        def write(self, chunk: bytes) -> None:
            if self.file.tell() + len(chunk) > 100_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            self.file.write(chunk)

    with monkeypatch.context() as patch:
        patch.setattr(transfer, "open", Full, raising=False)
        with pytest.raises(PetsegError, match=r"The disk is full: .*PETSEG_CACHE"):
            download.fetch([server.url("good")], MD5, destination)
    assert visible(destination.parent) == []
    assert 0 < part_of(destination).stat().st_size <= 100_000
    download.fetch([server.url("good")], MD5, destination)
    assert destination.read_bytes() == CONTENT
    assert server.asked[1][1] is not None  # resumed


def test_really_full_disk(server: Server, small_disk: Path) -> None:
    destination = small_disk / "images.tar.gz"
    with pytest.raises(PetsegError, match="The disk is full"):
        download.fetch([server.url("good")], MD5, destination)
    assert visible(small_disk) == []


def test_interrupt_keeps_the_part(server: Server, destination: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(transfer.time, "sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            download.fetch([server.url("cut")], MD5, destination)
    assert part_of(destination).read_bytes() == CONTENT[:100_000]
    assert visible(destination.parent) == []


def test_plain_lines_where_there_is_no_terminal(
    server: Server, destination: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    download.fetch([server.url("cut")], MD5, destination)
    lines = capsys.readouterr().err.splitlines()
    assert "cut: 0.0 of 0.3 MB" in lines
    assert "cut: 0.1 of 0.3 MB" in lines  # the second try says where it goes on
    assert any("cut after 100000 of 300000 bytes; again in 0.01 s" in line for line in lines)
    assert not any("\r" in line for line in lines)


def test_plain_lines_count_on(
    server: Server, destination: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_progress, "EVERY", 0.0)
    download.fetch([server.url("good")], MD5, destination)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "good: 0.0 of 0.3 MB"
    assert lines[-1] == "good: 0.3 of 0.3 MB"
