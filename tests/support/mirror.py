"""A mirror on this machine that misbehaves in every way that mirrors do."""

import hashlib
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONTENT = random.Random(0).randbytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Answers /NAME by one of the handler's methods `get_NAME`; remembers what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []  # path and Range header of each request
        self.released = threading.Event()  # lets `get_silent` end

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path.strip("/"), self.headers["Range"]))
        getattr(self, "get_" + self.path.strip("/"))()

    def log_message(self, *args: object) -> None:
        pass

    def nth(self) -> int:
        """How many requests for this path have come, this one included."""
        return [path for path, _ in self.server.asked].count(self.path.strip("/"))

    def start(self) -> int:
        return int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))

    def send(self, content: bytes, cut_after: int | None = None) -> None:
        """Answers with the rest from the asked byte, and may hang up after some bytes of it."""
        start = self.start()
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
        """Hangs up after every 100,000 bytes, and never gets on without Range."""
        self.send(CONTENT, cut_after=100_000)

    def get_cut_no_range(self) -> None:
        """Hangs up once, then sends everything from the beginning whatever is asked."""
        del self.headers["Range"]
        self.send(CONTENT, cut_after=100_000 if self.nth() == 1 else None)

    def get_always_cut(self) -> None:
        del self.headers["Range"]
        self.send(CONTENT, cut_after=50_000)

    def get_no_length(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(CONTENT)

    def get_busy(self) -> None:
        if self.nth() < 3:
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
