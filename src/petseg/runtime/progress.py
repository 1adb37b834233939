"""What a training shows: one line per epoch, and a progress bar in a terminal."""

import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TextIO, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

COLUMNS = 80  # of the widest line
_REFRESH = 0.5  # seconds between two updates of the figures beside the bar; each waits for the device


class WaitTimer(Generic[Item]):
    """Iterates over `items`; `seconds` is the time spent waiting for them so far."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.seconds = 0.0
        self._items = iter(items)

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        start = time.perf_counter()
        try:
            return next(self._items)
        finally:
            self.seconds += time.perf_counter() - start


class Progress:
    """Progress of a training: one line per epoch and, in a terminal, a bar below them. No line exceeds 80 columns.

    Use it as a context manager: then an error message starts on a line of its own.

    Args:
        name: printed in front.
        steps: of the whole training.
        done: steps before this process.
        quiet: print nothing.
    """

    def __init__(self, name: str, steps: int, done: int = 0, quiet: bool = False) -> None:
        self._name, self._quiet = name, quiet
        self._updated = time.perf_counter()
        self._columns = min(COLUMNS, shutil.get_terminal_size().columns)
        self._bar = tqdm(
            total=steps,
            initial=done,
            desc=name,
            bar_format="{desc} |{bar}| {elapsed}<{remaining}",
            ncols=self._columns,
            file=sys.stderr,
            disable=quiet or None,
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def advance(self) -> bool:
        """Counts a step; True if it is time to call `show`."""
        self._bar.update()
        due = not self._bar.disable and time.perf_counter() - self._updated > _REFRESH
        if due:
            self._updated = time.perf_counter()
        return due

    def show(self, figures: Sequence[str]) -> None:
        """Shows the first figures before the bar, as many as fit."""
        room = self._columns - len(self._name) - len(":  |====| 00:00<00:00")
        self._bar.set_description_str(f"{self._name}: {fit(figures, room)}")

    def say(self, *figures: str) -> None:
        """Prints a line with the name and the first figures, as many as fit."""
        if not self._quiet:
            message(f"{self._name}: {fit(figures, COLUMNS - len(self._name) - 2)}")


def fit(figures: Sequence[str], room: int) -> str:
    """Joins as many figures as fit in `room` characters, at least the first."""
    line = figures[0]
    for figure in figures[1:]:
        if len(line) + len(figure) + 2 > room:
            break
        line += f", {figure}"
    return line


def message(line: str, file: TextIO | None = None) -> None:
    """Prints a line, above a progress bar if there is one, on stdout or `file`."""
    stream = file or sys.stdout
    tqdm.write(line, file=stream)
    stream.flush()
