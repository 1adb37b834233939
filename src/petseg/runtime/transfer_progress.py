"""What a transfer shows while it runs: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from types import TracebackType

from tqdm import tqdm

EVERY = 10.0  # seconds between two plain lines


def say(line: str) -> None:
    """Prints one line on stderr, above a bar if there is one."""
    tqdm.write(line, file=sys.stderr)


class Bytes:
    """Counts the bytes of one transfer on stderr; a context manager."""

    def __init__(self, name: str, start: int, total: int | None) -> None:
        """Args: name of the file, bytes that are already there, bytes that it has in all (None: not known)."""
        self.name, self.done, self.total = name, start, total
        self.last = time.monotonic()
        terminal = sys.stderr.isatty()
        self.bar = tqdm(
            desc=name, initial=start, total=total, unit="B", unit_scale=True, leave=False, disable=not terminal
        )
        if not terminal:
            self._line()

    def __enter__(self) -> "Bytes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()

    def add(self, count: int) -> None:
        """Counts `count` more bytes."""
        self.done += count
        self.bar.update(count)
        if self.bar.disable and time.monotonic() - self.last >= EVERY:
            self._line()

    def _line(self) -> None:
        self.last = time.monotonic()
        total = "" if self.total is None else f" of {self.total / 1e6:.1f}"
        say(f"{self.name}: {self.done / 1e6:.1f}{total} MB")
