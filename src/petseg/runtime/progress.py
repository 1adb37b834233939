"""What a training shows: a progress bar in a terminal, one line per epoch elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

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
    """Progress of a training.

    Args:
        name: printed in front.
        steps: of the whole training.
        done: steps before this process.
        quiet: print nothing.
    """

    def __init__(self, name: str, steps: int, done: int = 0, quiet: bool = False) -> None:
        self._name, self._quiet = name, quiet
        self._updated = time.perf_counter()
        self._bar = tqdm(total=steps, initial=done, desc=name, unit="step", file=sys.stderr, disable=quiet or None)
        self.close = self._bar.close

    def advance(self) -> bool:
        """Counts a step; True if it is time to call `show`."""
        self._bar.update()
        due = not self._bar.disable and time.perf_counter() - self._updated > _REFRESH
        if due:
            self._updated = time.perf_counter()
        return due

    def show(self, figures: str) -> None:
        """Shows figures beside the bar."""
        self._bar.set_postfix_str(figures)

    def say(self, line: str) -> None:
        """Prints a line that begins with the name."""
        if not self._quiet:
            tqdm.write(f"{self._name}: {line}", file=sys.stdout)
            sys.stdout.flush()

    def say_without_bar(self, line: str) -> None:
        """Prints a line if no bar is shown."""
        if self._bar.disable:
            self.say(line)
