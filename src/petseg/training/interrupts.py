"""Stopping a training from outside: signals, and the death of the `dvc` that started it.

A signal only leaves a note, which the training looks for between two steps, where its state is whole and can be saved.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from petseg.errors import PetsegError

GRACE = 4.0  # seconds that a step may take to end; after that the process ends with the checkpoint that it has
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(PetsegError):  # noqa: N818, it is no error
    """A training was stopped by a signal. The exit status is 128 + the signal's number, as shells count.

    Args:
        number: of the signal.
        where: what the training can go on from, such as `epoch 3, step 7`.
    """

    def __init__(self, number: int, where: str) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}; the same command goes on from {where}.")
        self.exit_status = 128 + number


class Watch:
    """Knows whether somebody wants this process to stop."""

    def __init__(self) -> None:
        self.signal: int | None = None  # the first one that came
        self._saving = threading.Lock()

    def note(self, number: int, frame: object = None) -> None:
        self.signal = self.signal or number

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Keeps the process alive beyond `GRACE` while a checkpoint is being written."""
        with self._saving:
            yield

    def _hurry(self, pipe: int, ended: threading.Event) -> None:
        """Ends the process if it has not ended by itself some time after a signal.

        Python runs a signal's handler between two of its own instructions, so a long step in C++ (or one that waits for
        another process) would not be interrupted; the pipe gets the signal's number at once.
        """
        number = 0
        while number not in _SIGNALS:
            byte = os.read(pipe, 1)
            if not byte:
                return  # the watch has ended
            number = byte[0]
        if ended.wait(GRACE):
            return
        with self._saving:
            print(Interrupted(number, "its last checkpoint"), file=sys.stderr, flush=True)
            os._exit(128 + number)


@contextmanager
def watch() -> Iterator[Watch]:
    """Yields a `Watch` that notes SIGTERM, SIGINT and the death of the `dvc` that runs this process, if one does."""
    result, ended = Watch(), threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = [signal.signal(number, result.note) for number in _SIGNALS]
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threads = [threading.Thread(target=result._hurry, args=(reader, ended), daemon=True)]
    if "DVC_STAGE" in os.environ:
        threads.append(threading.Thread(target=_follow, args=(_dvc_above(), ended), daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield result
    finally:
        ended.set()
        signal.set_wakeup_fd(wakeup)
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)
        os.close(writer)
        for thread in threads:
            thread.join()
        os.close(reader)


def _follow(ancestors: list[tuple[int, str]], ended: threading.Event) -> None:
    """Sends this process SIGTERM once one of its ancestors has died."""
    while not ended.wait(0.5):
        if any(_started(pid) != started for pid, started in ancestors):
            print("dvc has died; its training ends too", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGTERM)
            return


def _dvc_above() -> list[tuple[int, str]]:
    """The ancestors up to `dvc` itself, as (process id, start time); none where /proc does not tell.

    Between the two there may be a shell and torchrun's agent, which outlive a killed `dvc`.
    """
    ancestors, pid = [], os.getpid()
    while pid > 1:
        pid = _parent(pid)
        ancestors.append((pid, _started(pid)))
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return []
        if any(Path(word).name in ("dvc", "dvc.exe") for word in words[:4]):
            return ancestors
    return []


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the command's name; empty strings if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return [""] * 20


def _parent(pid: int) -> int:
    return int(_stat(pid)[1] or 0)


def _started(pid: int) -> str:
    """When a process started, in ticks since boot, which tells it from a later one of its number; empty if dead."""
    fields = _stat(pid)
    return "" if fields[0] == "Z" else fields[19]
