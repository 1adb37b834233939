"""How a stage ends: well, or with one sentence on stderr and a status that tells, never with a traceback."""

import contextlib
import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

SENTENCES = "PETSEG_SENTENCES"  # names a folder, see `show`
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # what asks a stage to stop


class PetsegError(Exception):
    """Something the user can put right. Its text is one sentence: what is wrong, where, and what to do."""

    exit_status = 1


class ParamsError(PetsegError):
    """params.yaml, a recipe or an override is wrong."""

    exit_status = 2


class DataError(PetsegError):
    """An image, a trimap, a list or an archive is wrong."""


class Stopped(KeyboardInterrupt):
    """A signal came. What is half-written is removed as it passes; no `except Exception` takes it for an error.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}; run the same command again.")
        self.exit_status = 128 + number  # as shells count


def _sentence(error: OSError) -> PetsegError | None:
    """What the user can do about a system error, or None where it is a bug."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and error.filename:
        return PetsegError(f"{error.filename} may not be read or written here ({error.strerror}); change its rights.")
    return disk_full(error, error.filename or "an output")


def disk_full(error: OSError, where: object) -> PetsegError | None:
    """The sentence for a full disk or quota while writing `where`, or None where `error` is another one."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    return PetsegError(f"The disk is full: {where} could not be written; free some space and run this again.")


def run(main: Callable[[], None]) -> None:
    """Runs a stage's `main` and ends the process: status 0, or a sentence and the error's status.

    SIGTERM and SIGINT raise `Stopped` in `main`, where it handles them no other way, and are of no more use after it.
    """
    stop, status = _stopper(), 0
    try:
        for number in STOPS:
            signal.signal(number, stop)
        main()
    except (PetsegError, Stopped) as error:
        status = show(error)
    except OSError as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        status = show(sentence)
    finally:
        for number in STOPS:
            signal.signal(number, signal.SIG_IGN)
    if status:  # out here, where nothing holds on to what `main` used, such as data workers
        sys.exit(status)


def _stopper() -> Callable[[int, object], None]:
    """A signal handler that raises `Stopped`; within a second, a further signal is the same wish and changes nothing.

    A terminal, dvc and torchrun may each pass one on, and the second would cut short the clean-up after the first.
    """
    last = -1.0

    def stop(number: int, frame: object) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before > 1:
            raise Stopped(number)

    return stop


def show(error: PetsegError | Stopped) -> int:
    """Prints the sentence; the exit status.

    Of several processes that train together each leaves it to the one that started them, if that wants to choose what
    is said, or says which one it is.
    """
    rank, folder = os.environ.get("RANK"), os.environ.get(SENTENCES)
    with contextlib.suppress(OSError):  # whoever would have read it may be gone
        if rank and folder:
            Path(folder, rank).write_text(str(error), encoding="utf-8")
        else:
            print(f"error in rank {rank}: {error}" if rank else f"error: {error}", file=sys.stderr, flush=True)
    return error.exit_status
