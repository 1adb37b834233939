"""Work shared out to processes, with results in order."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import TypeVar

from petseg.runtime.errors import STOPS, PetsegError

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def in_order(
    task: Callable[[Item], Result], items: Sequence[Item], workers: int, chunk: int = 1
) -> Iterator[Iterator[Result]]:
    """Yields an iterator over `task(item)` of each item, in order: the first error is the first in the sequence.

    What has not begun when the context ends, well or not, is never done. Workers leave signals to this process, and end
    with it.

    Args:
        task: a function of a module, or a partial of one.
        items: what it is given, one each.
        workers: processes, at least 1; with 1 this very process does the work.
        chunk: items that a process is given at once.

    Raises:
        PetsegError: a process was killed.
    """
    workers = min(workers, -(-len(items) // chunk))
    if workers <= 1:
        yield map(task, items)
        return
    # spawn, not fork: a forked copy of a process with threads (tqdm's, torch's) may hang.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_follow_parent)
    try:
        with undisturbed():
            results = pool.map(task, items, chunksize=chunk)
        yield results
    except BrokenProcessPool:
        raise PetsegError(
            "A worker process was killed, most likely because memory ran out; set PETSEG_WORKERS lower than "
            f"{workers} and run the same command again."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Where workers start: they inherit that signals are blocked, and a signal is acted upon once they have started."""
    came: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    handlers = {n: signal.signal(n, lambda number, frame: came.append(number)) for n in STOPS if main}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _follow_parent() -> None:
    """Makes a worker end with its parent, were that killed; it would wait for work for ever."""

    def end_with_parent() -> None:
        parent_process().join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
