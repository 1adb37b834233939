"""Downloads a file of known MD5 from one of several URLs into a cache; retries, and resumes interrupted transfers."""

import hashlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
from tqdm import tqdm

from petseg.runtime.errors import ParamsError, PetsegError, disk_full
from petseg.runtime.locks import try_lock

TIMEOUT = 30.0  # seconds to connect, and between two bytes
WAITS = (1.0, 3.0, 10.0)  # seconds before each retry; start again from the first after a try that received new bytes
CHUNK = 1 << 14  # bytes read and written at once; when a transfer is cut, the last incomplete chunk is lost
LOCK_EVERY = 0.2  # seconds between two attempts to get the lock
TEMPORARY = (408, 425, 429, 500, 502, 503, 504)  # HTTP status codes that are worth a retry


class _TransferError(Exception):
    """A URL did not provide the file. The text says why; `retry` whether another try may help."""

    def __init__(self, reason: str, retry: bool = False) -> None:
        super().__init__(reason)
        self.retry = retry


def cache_folder() -> Path:
    """The folder of downloaded files: PETSEG_CACHE, else XDG_CACHE_HOME/petseg, else ~/.cache/petseg."""
    if folder := os.environ.get("PETSEG_CACHE"):
        return Path(folder).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "petseg"


def cache_path(name: str, md5: str) -> Path:
    """The path of a downloaded file in the cache."""
    return cache_folder() / f"{md5}-{name}"


def part_path(destination: Path) -> Path:
    """The hidden file in which a download to `destination` grows."""
    return destination.with_name(f".{destination.name}.part")


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
    unusable = [url for url in urls if not url.startswith(("http://", "https://", "file:///"))]
    if unusable or not urls:
        raise ParamsError(
            f"data.url is {', '.join(unusable) or 'empty'}; it must list http, https or file URLs (a local folder is "
            "file:///path)."
        )
    if file_md5(destination) == md5:
        return destination
    reasons = []
    for url in urls:
        try:
            if url.startswith("file:"):
                return _verify(Path(url2pathname(urlsplit(url).path)), md5)
            return _download(url, md5, destination)
        except _TransferError as reason:
            reasons.append(f"{url}: {reason}")
            if url != urls[-1]:
                _print(f"{reasons[-1]}; trying the next URL")
    raise PetsegError(
        f"{_name(urls[0])} could not be downloaded ({'; '.join(reasons)}); check the network, data.url and "
        "data.md5, then run the same command again, which resumes an interrupted download."
    )


def file_md5(path: Path) -> str:
    """The MD5 of a file's content, as hex digits; empty if there is no file."""
    if not path.is_file():
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _verify(path: Path, md5: str, retry: bool = False) -> Path:
    found = file_md5(path)
    if not found:
        raise _TransferError("No such file")
    if found != md5:
        text = f"wrong content, {path.stat().st_size} bytes with MD5 {found} instead of {md5}"
        raise _TransferError(text, retry)
    return path


def _download(url: str, md5: str, destination: Path) -> Path:
    """Downloads to `destination`, under a lock."""
    part = part_path(destination)
    try:
        with _lock(destination):
            if file_md5(destination) != md5:  # else downloaded by the process that held the lock
                _transfer(url, md5, part)
                os.replace(part, destination)
    except OSError as error:
        cure = "make it writable, or set PETSEG_CACHE to a writable folder."
        raise (
            disk_full(error, f"{part} (PETSEG_CACHE can name a folder on another disk)")
            or PetsegError(f"{part.parent} cannot hold the download ({error.strerror}); {cure}")
        ) from error
    return destination


def _lock(destination: Path) -> TextIO:
    """Waits for the lock on `destination`; closing the returned file releases it."""
    path = destination.with_name(f".{destination.name}.lock")
    if (lock := try_lock(path)) is None:
        _print(f"another process is downloading {destination}; waiting for it")
    while lock is None:
        time.sleep(LOCK_EVERY)
        lock = try_lock(path)
    return lock


def _transfer(url: str, md5: str, part: Path) -> None:
    """Completes the file `part`, with retries. After an error it holds what was received, unless that is wrong."""
    part.touch()
    waits, most = list(WAITS), part.stat().st_size
    while True:
        try:
            return _try_transfer(url, md5, part)
        except _TransferError as error:
            if not error.retry:
                raise
            if part.stat().st_size > most:
                waits, most = list(WAITS), part.stat().st_size
            if not waits:
                raise _TransferError(f"{error}, after {len(WAITS) + 1} tries") from None
            _print(f"{_name(url)}: {error}; retrying in {waits[0]:g} s")
        time.sleep(waits.pop(0))


def _try_transfer(url: str, md5: str, part: Path) -> None:
    """Makes one request, which resumes `part` if the server can, and verifies the file."""
    start = part.stat().st_size
    headers = {"User-Agent": "petseg", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            status = response.status_code
            complete = start and status == requests.codes.requested_range_not_satisfiable
            if status >= 400 and not complete:
                raise _TransferError(f"HTTP {status} {response.reason}", status in TEMPORARY)
            if not complete:
                if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                    start = 0  # the server ignores Range and sends the whole file
                _receive(response, part, start)
    except requests.RequestException as error:
        raise _TransferError(_cause(error), retry=True) from None
    try:
        _verify(part, md5, retry=start > 0)  # what was resumed may be damaged, or the beginning of another file
    except _TransferError:
        os.truncate(part, 0)
        raise


def _receive(response: requests.Response, part: Path, start: int) -> None:
    """Writes what the server sends to `part`, from byte `start` on; shows a progress bar on a terminal."""
    length = response.headers.get("Content-Length")
    total = start + int(length) if length else None
    name = _name(response.url)
    size = f" of {total / 1e6:.1f}" if total else ""
    _print(f"{name}: downloading, {start / 1e6:.1f}{size} MB are here")
    bar = tqdm(desc=name, initial=start, total=total, unit="B", unit_scale=True, leave=False, disable=None)
    with bar, open(part, "ab" if start else "wb") as file:
        for chunk in response.iter_content(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))


def _cause(error: BaseException) -> str:
    """The text of the error that a chain of errors began with, which says it without the names of Python objects."""
    while error.__context__:
        error = error.__context__
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _print(line: str) -> None:
    """Prints a line on stderr, above a progress bar if there is one."""
    tqdm.write(line, file=sys.stderr)


def _name(url: str) -> str:
    return url.rpartition("/")[2]
