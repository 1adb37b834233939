"""Stops a training safely after a signal, or when the `dvc` that started it has died.

A signal is only recorded. The training checks for it between two steps, where its state is complete and can be saved.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from petseg.runtime import errors

GRACE = 4.0  # seconds between a signal and the end of the process, if no step ends before
_POLL = 0.5  # seconds between two checks of the parent processes


class Interrupted(errors.PetsegError):
    """A signal stopped a training, whose next run resumes from the checkpoint of `where`, such as `epoch 3, step 7`."""

    def __init__(self, number: int, where: str) -> None:
        name = signal.Signals(number).name
        super().__init__(f"stopped by {name}; run the same command again to resume from {where}.")
        self.exit_status = 128 + number


class Watch:
    """Records whether the process was asked to stop.

    Attributes:
        signal: the number of the first signal, or None.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._saving = threading.Lock()

    def record(self, number: int, frame: object = None) -> None:
        """A signal handler."""
        self.signal = self.signal or number

    def saving(self) -> contextlib.AbstractContextManager:
        """A context that keeps the process alive beyond `GRACE`, to write a checkpoint."""
        return self._saving

    def _exit_after_grace(self, pipe: int, ended: threading.Event) -> None:
        """Exits if the watch has not ended `GRACE` seconds after a signal.

        Python calls signal handlers only between two of its own instructions, not within a long step in C++ or while
        it waits for another process. The wakeup pipe receives the signal's number immediately.
        """
        while (number := os.read(pipe, 1)[0]) not in errors.STOPS:
            if number == 0:  # the watch has ended
                return
        if ended.wait(GRACE):
            return
        with self._saving:
            os._exit(errors.print_error(Interrupted(number, "its last checkpoint")))


@contextmanager
def watch() -> Iterator[Watch]:
    """Yields a `Watch` that records the signals in `errors.STOPS`; restores the signal handlers at the end."""
    result, ended = Watch(), threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    handlers = {number: signal.signal(number, result.record) for number in errors.STOPS}
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread = threading.Thread(target=result._exit_after_grace, args=(reader, ended), daemon=True)
    thread.start()
    try:
        yield result
    finally:
        ended.set()
        signal.set_wakeup_fd(wakeup)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.write(writer, b"\0")  # closing is not enough: forked data-loading workers also hold the pipe open
        thread.join()
        os.close(writer)
        os.close(reader)


def follow_dvc() -> None:
    """Starts a thread that sends this process SIGTERM when the `dvc` or torchrun that started it dies.

    Call it first of all: once its parent has died, a process cannot find out who started it.
    """
    parents = _parents_up_to_dvc() if "DVC_STAGE" in os.environ else []
    if "TORCHELASTIC_RUN_ID" in os.environ:
        parents += psutil.Process().parents()[:1]
    if parents:
        threading.Thread(target=_follow, args=[parents], daemon=True).start()


def _follow(parents: list[psutil.Process]) -> None:
    while all(_alive(parent) for parent in parents):
        time.sleep(_POLL)
    os.kill(os.getpid(), signal.SIGTERM)
    with contextlib.suppress(OSError):  # the reader of stderr may have died too
        starter = "dvc" if "DVC_STAGE" in os.environ else "launcher"
        sys.stderr.write(f"stopping, because the {starter} that started this process has died\n")  # one write, not two


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _parents_up_to_dvc() -> list[psutil.Process]:
    """The parent processes up to `dvc`, which may include a shell and torchrun's agent; empty without a `dvc`."""
    parents = psutil.Process().parents()
    for i, parent in enumerate(parents):
        with contextlib.suppress(psutil.Error):
            if is_dvc(parent):
                return parents[: i + 1]
    return []


def is_dvc(process: psutil.Process) -> bool:
    """Whether a process is the command `dvc`, however it was started; raises psutil.Error."""
    return any(Path(word).name == "dvc" for word in process.cmdline()[:4])
