"""Parallel work in processes. Errors of workers are tested with packing, in tests/data."""

import os
import signal

import pytest

from petseg.runtime import pool
from petseg.runtime.errors import STOPS


def process_of(item: int) -> tuple[int, int]:
    return item, os.getpid()


@pytest.mark.parametrize(("workers", "chunk", "parallel"), [(1, 1, False), (2, 3, True), (4, 100, False)])
def test_results_are_in_order(workers: int, chunk: int, parallel: bool) -> None:
    with pool.in_order(process_of, range(9), workers, chunk) as results:
        items, processes = zip(*results, strict=True)
    assert items == tuple(range(9))
    assert (os.getpid() not in processes) == parallel


def blocked_signals(item: int) -> set[signal.Signals]:
    return signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_workers_ignore_the_signals_that_stop_this_process() -> None:
    with pool.in_order(blocked_signals, range(4), workers=2) as results:
        assert all(set(STOPS) <= each for each in results)
    assert not set(STOPS) & signal.pthread_sigmask(signal.SIG_BLOCK, [])
