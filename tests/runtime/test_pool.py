"""Parallel work in processes. Errors of workers are tested with packing, in tests/data."""

import os
import signal

import pytest

from petseg.runtime import pool


def process_of(item: int) -> tuple[int, int]:
    return item, os.getpid()


@pytest.mark.parametrize(("workers", "chunk", "parallel"), [(1, 1, False), (2, 3, True), (4, 100, False)])
def test_results_are_in_order(workers: int, chunk: int, parallel: bool) -> None:
    with pool.in_order(process_of, range(9), workers, chunk) as results:
        items, processes = zip(*results, strict=True)
    assert items == tuple(range(9))
    assert (os.getpid() not in processes) == parallel


def test_deferred_signals_arrive_at_the_end() -> None:
    with pytest.raises(KeyboardInterrupt), pool.deferred_signals():
        os.kill(os.getpid(), signal.SIGINT)
        passed = True
    assert passed
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
