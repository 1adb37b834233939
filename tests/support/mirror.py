"""An HTTP server on this machine that fails in the ways that mirrors do."""

import hashlib
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONTENT = random.Random(0).randbytes(300_000)
CUT = 6 << 14  # bytes, whole chunks of the downloader
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Answers /NAME with the handler's method `get_NAME`, and records the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str | None]] = []  # path and Range header
        self.released = threading.Event()  # ends `get_silent`

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path.strip("/"), self.headers["Range"]))
        getattr(self, "get_" + self.path.strip("/"))()

    def log_message(self, *args: object) -> None:
        pass

    def count(self) -> int:
        """The number of requests for this path so far, including this one."""
        return [path for path, _ in self.server.requests].count(self.path.strip("/"))

    def send(self, content: bytes, cut_after: int | None = None) -> None:
        """Sends the requested range; closes the connection after `cut_after` bytes of it."""
        start = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][:cut_after])

    def get_good(self) -> None:
        self.send(CONTENT)

    def get_wrong(self) -> None:
        self.send(b"a page that says sorry")

    def get_cut(self) -> None:
        """Cuts again and again, so that only Range makes progress."""
        self.send(CONTENT, cut_after=CUT)

    def get_cut_no_range(self) -> None:
        """Cuts once and ignores Range."""
        del self.headers["Range"]
        self.send(CONTENT, cut_after=CUT if self.count() == 1 else None)

    def get_always_cut(self) -> None:
        del self.headers["Range"]
        self.send(CONTENT, cut_after=CUT)

    def get_no_length(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(CONTENT)

    def get_busy(self) -> None:
        if self.count() < 3:
            self.send_error(503)
        else:
            self.send(CONTENT)

    def get_broken(self) -> None:
        self.send_error(500)

    def get_gone(self) -> None:
        self.send_error(404)

    def get_silent(self) -> None:
        self.send(CONTENT, cut_after=1000)
        self.wfile.flush()
        self.server.released.wait(10)


def part_of(destination: Path) -> Path:
    return destination.with_name(f".{destination.name}.part")


def visible(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if not path.name.startswith(".")] if folder.exists() else []
