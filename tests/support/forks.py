"""A fork server for tests: new processes that have imported already what takes long."""

import multiprocessing
from multiprocessing import forkserver
from multiprocessing.context import BaseContext

_running = None


def server(*modules: str) -> BaseContext:
    """Starts processes from a server that has imported these modules.

    A process of tests has one server at a time. One that somebody else has started, with other modules or with signals
    blocked, as petseg does for data workers, is stopped.
    """
    global _running
    one = forkserver._forkserver
    if _running != (one._forkserver_pid, modules):
        one._stop()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*modules])
    one.ensure_running()
    _running = one._forkserver_pid, modules
    return context
