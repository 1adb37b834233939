"""Parallel work in processes, with results in order."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import TypeVar

from tqdm import tqdm

from petseg.runtime.errors import STOPS, PetsegError

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def in_order(
    task: Callable[[Item], Result], items: Sequence[Item], workers: int, chunk: int = 1
) -> Iterator[Iterator[Result]]:
    """Yields an iterator over `task(item)` for all items, in their order, so that the first error is reproducible.

    Leaving the context, also by an exception, cancels what has not started. Workers ignore the signals that stop this
    process, and exit with it.

    Args:
        task: a function at module level, or a partial of one.
        items: its arguments.
        workers: processes, at least 1; with 1, this process does the work.
        chunk: items that a worker takes at once.

    Raises:
        PetsegError: a worker was killed.
    """
    workers = min(workers, -(-len(items) // chunk))
    if workers <= 1:
        yield map(task, items)
        return
    # spawn, not fork: the fork of a process with threads (tqdm's, torch's) may hang
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_exit_with_parent)
    try:
        unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # inherited by the workers, which start now
        try:
            results = pool.map(task, items, chunksize=chunk)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        yield results
    except BrokenProcessPool:
        raise PetsegError(
            "A worker process was killed, most likely because memory ran out; set PETSEG_WORKERS lower than "
            f"{workers} and run the same command again."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def map_images(
    task: Callable[[Item], Result], items: Sequence[Item], workers: int, chunk: int, description: str
) -> list[Result]:
    """The results of `task` for all images, in order, as for `in_order`; shows a progress bar."""
    with in_order(task, items, workers, chunk) as results:
        return list(tqdm(results, description, len(items), unit=" images", disable=None))


def _exit_with_parent() -> None:
    """Makes a worker exit when its parent is killed, instead of waiting for work forever."""

    def wait() -> None:
        parent_process().join()  # pyright: ignore[reportOptionalMemberAccess]
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
