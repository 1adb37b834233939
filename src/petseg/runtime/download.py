"""A file by its MD5 from any of several URLs, kept in a cache so that no experiment downloads it again."""

import contextlib
import fcntl
import hashlib
import os
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from petseg.runtime.errors import ParamsError, PetsegError, disk_full
from petseg.runtime.transfer import FinalError, transfer, url_name
from petseg.runtime.transfer_progress import say


def cache_path(name: str, md5: str) -> Path:
    """Where a verified file is kept: below PETSEG_CACHE, else XDG_CACHE_HOME/petseg, else ~/.cache/petseg."""
    if folder := os.environ.get("PETSEG_CACHE"):
        return Path(folder).expanduser() / f"{md5}-{name}"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "petseg" / f"{md5}-{name}"


def fetch(urls: Sequence[str], md5: str, destination: Path) -> Path:
    """Returns a file with this MD5: `destination` where it already is that, else from the first URL that delivers it.

    A file:// URL is verified and read in place, nothing is copied. A transfer by http or https grows in a hidden .part
    file beside `destination`, which a later call (or another mirror) continues, and is moved into place once its MD5 is
    right; one process at a time, others wait and then find it done.

    Args:
        urls: mirrors of the file, http, https or file, tried in turn.
        md5: 32 lower-case hex digits.
        destination: where a download is kept. A file there with another MD5 is damaged, and is replaced.

    Raises:
        ParamsError: there is no URL, or one of another kind.
        PetsegError: no URL delivered the file (each is named with its reason), the disk is full, or the folder of
            `destination` cannot be written.
    """
    if not urls:
        raise ParamsError("data.url is empty; give at least one address, https or file.")
    for url in urls:
        if _scheme(url) not in ("http", "https", "file"):
            raise ParamsError(f"data.url: {url} is no http, https or file address; a local folder is file:///its/path.")
    if _verified(destination, md5):
        return destination
    reasons = []
    for url in urls:
        try:
            return _local(url, md5) if _scheme(url) == "file" else _remote(url, md5, destination)
        except FinalError as reason:
            reasons.append(f"{url}: {reason}")
            if url != urls[-1]:
                say(f"{reasons[-1]}; trying the next address")
    raise PetsegError(
        f"{url_name(urls[0])} could not be fetched ({'; '.join(reasons)}); check the network, data.url and data.md5, "
        "then run the same command again, which continues where a transfer was cut."
    )


def file_md5(path: Path) -> str:
    """The MD5 of a file's content, as hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _verified(path: Path, md5: str) -> bool:
    try:
        return file_md5(path) == md5
    except OSError:
        return False


def _local(url: str, md5: str) -> Path:
    host, path = urlsplit(url).netloc, Path(urllib.request.url2pathname(urlsplit(url).path))
    if host not in ("", "localhost"):
        raise FinalError("a local file has three slashes, file:///its/path")
    try:
        _check(path, md5)
    except OSError as error:
        raise FinalError(error.strerror) from None
    return path


def _remote(url: str, md5: str, destination: Path) -> Path:
    part = destination.with_name(f".{destination.name}.part")
    with _writing(part), _locked(destination):
        if _verified(destination, md5):  # by the process that held the lock
            return destination
        in_one_piece = transfer(url, part)
        if not in_one_piece and file_md5(part) != md5:  # the beginning was of another file, or damaged
            part.unlink()
            transfer(url, part)
        try:
            _check(part, md5)
        except FinalError:
            part.unlink()
            raise
        os.replace(part, destination)
    return destination


def _check(path: Path, md5: str) -> None:
    got = file_md5(path)
    if got != md5:
        raise FinalError(f"wrong content, {path.stat().st_size} bytes with MD5 {got} where {md5} is expected")


@contextlib.contextmanager
def _writing(part: Path) -> Iterator[None]:
    """Makes the folder, and turns what goes wrong with it into a sentence that names the way out."""
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        where = f"{part} (PETSEG_CACHE can name a folder on another disk)"
        raise (
            disk_full(error, where)
            or PetsegError(
                f"{part.parent} cannot hold the download ({error.strerror}); make it writable, or set PETSEG_CACHE to "
                "a folder that is."
            )
        ) from error


@contextlib.contextmanager
def _locked(destination: Path) -> Iterator[None]:
    """One process at a time for `destination`. The lock goes with its process; its empty file stays."""
    with open(destination.with_name(f".{destination.name}.lock"), "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is fetching {destination}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""
