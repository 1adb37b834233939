"""Stopping a training from outside: signals, and the death of the `dvc` that started it.

A signal only leaves a note, which the training looks for between two steps, where its state is whole and can be saved.
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

from petseg.runtime import errors

GRACE = 4.0  # seconds that a step may take to end; after that the process ends with the checkpoint that it has
_POLL = 0.5  # seconds between two looks at the processes above


class Interrupted(errors.PetsegError):
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
        number = None
        while number not in errors.STOPS:
            number = os.read(pipe, 1)[0]
            if number == 0:
                return  # the watch has ended
        if ended.wait(GRACE):
            return
        with self._saving:
            os._exit(errors.show(Interrupted(number, "its last checkpoint")))


@contextmanager
def watch() -> Iterator[Watch]:
    """Yields a `Watch` that notes SIGTERM and SIGINT."""
    result, ended = Watch(), threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = [signal.signal(number, result.note) for number in errors.STOPS]
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    hurry = threading.Thread(target=result._hurry, args=(reader, ended), daemon=True)
    hurry.start()
    try:
        yield result
    finally:
        ended.set()
        signal.set_wakeup_fd(wakeup)
        for number, handler in zip(errors.STOPS, before, strict=True):
            signal.signal(number, handler)
        os.write(writer, b"\0")  # closing it would not do: data workers, forked meanwhile, hold it open too
        hurry.join()
        os.close(writer)
        os.close(reader)


def follow_dvc() -> None:
    """Sends this process SIGTERM once the `dvc` or the torchrun that started it, if one did, has died.

    To be called first of all: a process that has lost its parent cannot tell any more who that was.
    """
    ancestors = _dvc_above() if "DVC_STAGE" in os.environ else []
    if "TORCHELASTIC_RUN_ID" in os.environ:
        ancestors.append((os.getppid(), _started(os.getppid())))
    if ancestors:
        starter = "dvc" if "DVC_STAGE" in os.environ else "process"
        threading.Thread(target=_follow, args=(ancestors, starter), daemon=True).start()


def _follow(ancestors: list[tuple[int, str]], starter: str) -> None:
    while all(_started(pid) == started for pid, started in ancestors):
        time.sleep(_POLL)
    os.kill(os.getpid(), signal.SIGTERM)
    with contextlib.suppress(OSError):  # what it had for output may have gone with it
        print(f"the {starter} that started this has died, so this ends too", file=sys.stderr, flush=True)


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
