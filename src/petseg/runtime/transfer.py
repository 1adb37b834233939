"""One file from one URL: retries with back-off, and resumption of a transfer that was cut."""

import contextlib
import errno
import http.client
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from petseg.runtime.transfer_progress import Bytes, say

TIMEOUT = 30.0  # seconds to connect, and without a byte
WAITS = (1.0, 3.0, 10.0)  # seconds before each further try; one that brought new bytes earns all of them anew
CHUNK = 1 << 16  # bytes read and written at once
NO_NETWORK = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)
BUSY = (408, 425, 429, 500, 502, 503, 504)  # HTTP answers that may be another in a moment; all others are final


class FinalError(Exception):
    """This URL does not deliver; the text says why."""


class _CutError(Exception):
    """This try failed, the next may not; the text says why."""


def transfer(url: str, part: Path) -> bool:
    """Continues the file `part` until the server says that it is whole, in as many tries as that takes.

    Args:
        url: http or https.
        part: what earlier calls left, from this URL or another one of the same file; may not exist.

    Returns:
        True where the last try began at byte 0; else the beginning may be of another file.

    Raises:
        FinalError: the URL does not deliver. `part` holds what came, if anything.
        OSError: `part` cannot be written.
    """
    waits, most = list(WAITS), _size(part)
    while True:
        try:
            return _try(url, part)
        except _CutError as reason:
            if _size(part) > most:
                waits, most = list(WAITS), _size(part)
            if not waits:
                raise FinalError(f"{reason}, after {len(WAITS) + 1} tries") from None
            say(f"{url_name(url)}: {reason}; again in {waits[0]:g} s")
            time.sleep(waits.pop(0))


def _try(url: str, part: Path) -> bool:
    """One request, appended to `part` where the server can continue it; True where it began at byte 0."""
    start = _size(part)
    request = urllib.request.Request(url, headers={"User-Agent": "petseg"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    with _network_errors():
        try:
            answer = urllib.request.urlopen(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
                return False  # nothing follows what is there: it is whole, or wrong
            raise (_CutError if error.code in BUSY else FinalError)(f"HTTP {error.code} {error.reason}") from None
    with answer:
        if not _continues(answer, start):
            start = 0  # the server sends it from the beginning, whatever was asked
        with open(part, "ab" if start else "wb") as file:
            _receive(answer, file, url_name(url), start)
    return start == 0


def _continues(answer: http.client.HTTPResponse, start: int) -> bool:
    return answer.status == http.HTTPStatus.PARTIAL_CONTENT and (
        answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
    )


def _receive(answer: http.client.HTTPResponse, file: BinaryIO, name: str, start: int) -> None:
    total = None if answer.length is None else start + answer.length  # None: the server does not say, the MD5 decides
    with Bytes(name, start, total) as progress:
        while True:
            with _network_errors():
                chunk = answer.read(CHUNK)
            if not chunk:
                break
            file.write(chunk)
            progress.add(len(chunk))
        if total is not None and progress.done < total:
            raise _CutError(f"the transfer was cut after {progress.done} of {total} bytes")


@contextlib.contextmanager
def _network_errors() -> Iterator[None]:
    """Tells what the next try may cure from what it will not."""
    try:
        yield
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(cause, http.client.InvalidURL):
            raise FinalError(f"no address ({cause})") from None
        if isinstance(cause, socket.gaierror):
            raise FinalError("the host is not found, is there a network?") from None
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise FinalError(f"its certificate is not valid ({cause.verify_message})") from None
        if isinstance(cause, OSError) and cause.errno in NO_NETWORK:
            raise FinalError(f"no network ({cause.strerror})") from None
        if isinstance(cause, TimeoutError):
            raise _CutError(f"no answer for {TIMEOUT:g} s") from None
        raise _CutError(getattr(cause, "strerror", None) or str(cause) or type(cause).__name__) from None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def url_name(url: str) -> str:
    """The last part of a URL's path: the name of the file."""
    return urlsplit(url).path.rpartition("/")[2]
