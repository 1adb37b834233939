"""Processes for tests that start quickly, since slow imports have already been done."""

import multiprocessing
from multiprocessing import forkserver
from multiprocessing.context import BaseContext

_running = None


def server(*modules: str) -> BaseContext:
    """A multiprocessing context whose processes are forked from a server that has imported these modules.

    There is one server at a time. A server that was started in another way, or with other modules, is stopped.
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
