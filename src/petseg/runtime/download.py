"""Downloads a file of known MD5 from one of several URLs into a cache; retries, and resumes interrupted transfers."""

import contextlib
import errno
import hashlib
import http.client
import os
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from tqdm import tqdm

from petseg.runtime import locks
from petseg.runtime.errors import ParamsError, PetsegError, disk_full

TIMEOUT = 30.0  # seconds to connect, and between two bytes
WAITS = (1.0, 3.0, 10.0)  # seconds before each retry; start again from the first after a try that received new bytes
CHUNK = 1 << 16  # bytes read and written at once
LINE_EVERY = 10.0  # seconds between two lines of progress where stderr is not a terminal
LOCK_EVERY = 0.2  # seconds between two attempts to get the lock
NO_NETWORK = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)
PERMANENT = (socket.gaierror, ssl.SSLCertVerificationError, http.client.InvalidURL)  # wrong host, URL or certificate
TEMPORARY = (408, 425, 429, 500, 502, 503, 504)  # HTTP status codes that are worth a retry


class _UnavailableError(Exception):
    """A URL does not provide the file; the text says why."""


class _RetryableError(Exception):
    """A transfer failed in a way that a retry may cure; the text says how."""


def cache_path(name: str, md5: str) -> Path:
    """The path of a downloaded file: in PETSEG_CACHE, else XDG_CACHE_HOME/petseg, else ~/.cache/petseg."""
    if folder := os.environ.get("PETSEG_CACHE"):
        return Path(folder).expanduser() / f"{md5}-{name}"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "petseg" / f"{md5}-{name}"


def fetch(urls: Sequence[str], md5: str, destination: Path) -> Path:
    """Returns the path of a file with this MD5: `destination` if it already is, else from the first URL that has it.

    A file:// URL is verified and returned in place, without a copy. A download grows in a hidden .part file beside
    `destination`, which a later call or another mirror resumes, and is moved into place once its MD5 is verified. Only
    one process downloads; others wait and use its result.

    Args:
        urls: mirrors of the file (http, https or file), tried in order.
        md5: 32 lower-case hex digits.
        destination: of the download. A file there with another MD5 is damaged, and is replaced.

    Raises:
        ParamsError: `urls` is empty, or has a URL of another scheme.
        PetsegError: no URL provides the file (each is named with its reason), the disk is full, or the folder of
            `destination` is not writable.
    """
    if not urls:
        raise ParamsError("data.url is empty; add at least one https or file URL.")
    for url in urls:
        if _scheme(url) not in ("http", "https", "file"):
            raise ParamsError(
                f"data.url: {url} is not an http, https or file URL; write a local folder as file:///path."
            )
    if _is_verified(destination, md5):
        return destination
    reasons = []
    for url in urls:
        try:
            return _verify_local(url, md5) if _scheme(url) == "file" else _download(url, md5, destination)
        except _UnavailableError as reason:
            reasons.append(f"{url}: {reason}")
            if url != urls[-1]:
                _print(f"{reasons[-1]}; trying the next URL")
    raise PetsegError(
        f"{_name(urls[0])} could not be downloaded ({'; '.join(reasons)}); check the network, data.url and "
        "data.md5, then run the same command again, which resumes an interrupted download."
    )


def file_md5(path: Path) -> str:
    """The MD5 of a file's content, as hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _is_verified(path: Path, md5: str) -> bool:
    try:
        return file_md5(path) == md5
    except OSError:
        return False


def _verify(path: Path, md5: str) -> None:
    found = file_md5(path)
    if found != md5:
        raise _UnavailableError(f"wrong content, {path.stat().st_size} bytes with MD5 {found} instead of {md5}")


def _verify_local(url: str, md5: str) -> Path:
    host, path = urlsplit(url).netloc, Path(urllib.request.url2pathname(urlsplit(url).path))
    if host not in ("", "localhost"):
        raise _UnavailableError("a local file has three slashes, file:///path")
    try:
        _verify(path, md5)
    except OSError as error:
        raise _UnavailableError(error.strerror) from None
    return path


def _download(url: str, md5: str, destination: Path) -> Path:
    """Downloads to `destination` under a lock."""
    part = destination.with_name(f".{destination.name}.part")
    try:
        with _lock(destination):
            if _is_verified(destination, md5):  # downloaded by the process that held the lock
                return destination
            resumed = _transfer(url, part)
            if resumed and file_md5(part) != md5:  # the part was damaged, or came from another file
                part.unlink()
                _transfer(url, part)
            try:
                _verify(part, md5)
            except _UnavailableError:
                part.unlink()
                raise
            os.replace(part, destination)
    except OSError as error:
        where = f"{part} (PETSEG_CACHE can name a folder on another disk)"
        raise (
            disk_full(error, where)
            or PetsegError(
                f"{part.parent} cannot hold the download ({error.strerror}); make it writable, or set PETSEG_CACHE to "
                "a writable folder."
            )
        ) from error
    return destination


def _lock(destination: Path) -> TextIO:
    """Waits for the lock on `destination`; closing the returned file releases it."""
    path = destination.with_name(f".{destination.name}.lock")
    if (lock := locks.try_lock(path)) is None:
        _print(f"another process is downloading {destination}; waiting for it")
    while lock is None:
        time.sleep(LOCK_EVERY)
        lock = locks.try_lock(path)
    return lock


def _transfer(url: str, part: Path) -> bool:
    """Appends to the file `part` until the server says that it is complete, with retries.

    Args:
        url: http or https.
        part: the beginning of the file, from this URL or another one; may not exist.

    Returns:
        Whether the last try resumed the file, so that its beginning may come from another one.

    Raises:
        _UnavailableError: the URL does not provide the file. `part` holds what was received.
        OSError: `part` cannot be written.
    """
    part.touch()
    waits, most = list(WAITS), part.stat().st_size
    while True:
        try:
            return _try_transfer(url, part)
        except _RetryableError as reason:
            if part.stat().st_size > most:
                waits, most = list(WAITS), part.stat().st_size
            if not waits:
                raise _UnavailableError(f"{reason}, after {len(WAITS) + 1} tries") from None
            _print(f"{_name(url)}: {reason}; retrying in {waits[0]:g} s")
            time.sleep(waits.pop(0))


def _try_transfer(url: str, part: Path) -> bool:
    """Makes one request, which resumes `part` if the server can; returns whether it did."""
    start = part.stat().st_size
    request = urllib.request.Request(url, headers={"User-Agent": "petseg"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    with _network_errors():
        try:
            response = urllib.request.urlopen(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
                return True  # there is nothing after `start`: the part is complete, or wrong
            kind = _RetryableError if error.code in TEMPORARY else _UnavailableError
            raise kind(f"HTTP {error.code} {error.reason}") from None
    with response:
        resumes = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        if response.status != http.HTTPStatus.PARTIAL_CONTENT or not resumes:
            start = 0  # the server ignores Range and sends the whole file
        total = None if response.length is None else start + response.length  # None: unknown, the MD5 decides
        progress = _Progress(_name(url), start, total)
        with open(part, "ab" if start else "wb") as file, progress.bar:
            for chunk in _chunks(response):
                file.write(chunk)
                progress.add(len(chunk))
    if total is not None and progress.done < total:
        raise _RetryableError(f"the transfer was cut after {progress.done} of {total} bytes")
    return start > 0


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        with _network_errors():
            chunk = response.read(CHUNK)
        if not chunk:
            return
        yield chunk


@contextlib.contextmanager
def _network_errors() -> Iterator[None]:
    """Translates the errors of urllib: _RetryableError where a retry may help, _UnavailableError where not."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        permanent = isinstance(cause, PERMANENT) or getattr(cause, "errno", None) in NO_NETWORK
        raise (_UnavailableError if permanent else _RetryableError)(reason) from None


class _Progress:
    """Shows the bytes of one transfer on stderr: a bar on a terminal, a line every LINE_EVERY seconds elsewhere.

    Args:
        name: of the file.
        done: bytes already there.
        total: size of the file, None if unknown.
    """

    def __init__(self, name: str, done: int, total: int | None) -> None:
        self.name, self.done, self.total = name, done, total
        self.bar = tqdm(desc=name, initial=done, total=total, unit="B", unit_scale=True, leave=False, disable=None)
        self._next_line = time.monotonic()
        self.add(0)

    def add(self, count: int) -> None:
        """Counts `count` more bytes."""
        self.done += count
        self.bar.update(count)
        if self.bar.disable and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_EVERY
            total = "" if self.total is None else f" of {self.total / 1e6:.1f}"
            _print(f"{self.name}: {self.done / 1e6:.1f}{total} MB")


def _print(line: str) -> None:
    """Prints a line on stderr, above a progress bar if there is one."""
    tqdm.write(line, file=sys.stderr)


def _name(url: str) -> str:
    return url.rpartition("/")[2]


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""
