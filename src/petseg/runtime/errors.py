"""Errors that a user can correct, and how a stage ends: with one sentence on stderr and an exit status."""

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

# Environment variable: a folder where each rank leaves its error message, for the process that launched all ranks.
MESSAGE_FOLDER = "PETSEG_MESSAGE_FOLDER"

# Signals that ask a stage to stop. `nohup` makes a process ignore SIGHUP, and it must stay ignored.
STOPS = tuple(
    number
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
)


class PetsegError(Exception):
    """An error that the user can correct. Its text is one sentence: what is wrong, where, and what to do."""

    exit_status = 1


class ParamsError(PetsegError):
    """params.yaml, a recipe or an override is wrong."""

    exit_status = 2


class DataError(PetsegError):
    """An image, a trimap, a list or an archive is wrong."""


class Stopped(KeyboardInterrupt):
    """A signal asked the stage to stop. `except Exception` does not catch it; `finally` blocks clean up.

    Args:
        number: the signal's number; the exit status is 128 + number, as in a shell.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}; run the same command again.")
        self.exit_status = 128 + number


def run(main: Callable[[], None]) -> None:
    """Runs a stage's `main` and exits: with status 0, or with an error message and the error's status.

    The first signal in `STOPS` raises `Stopped` in `main`, unless it installs other handlers; later ones are ignored.
    Errors that the user cannot correct keep their traceback.
    """
    status = 0
    try:
        for number in STOPS:
            signal.signal(number, _stop)
        main()
    except (PetsegError, Stopped) as error:
        status = print_error(error)
    except OSError as error:
        known = _known_cause(error)
        if known is None:
            raise
        status = print_error(known)
    finally:
        _ignore_stops()
    if status:  # outside the `except`: the traceback would keep alive what `main` used, such as data-loading workers
        sys.exit(status)


def _stop(number: int, frame: object) -> None:
    """A signal handler. Terminal, dvc and torchrun may all pass on a signal, which must not interrupt the clean-up."""
    _ignore_stops()
    raise Stopped(number)


def _ignore_stops() -> None:
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)


def print_error(error: PetsegError | Stopped) -> int:
    """Prints an error message to stderr and returns the exit status.

    One of several training processes names its rank, or writes the message to `MESSAGE_FOLDER` if that is set.
    """
    rank, folder = os.environ.get("RANK"), os.environ.get(MESSAGE_FOLDER)
    with contextlib.suppress(OSError):  # the reader of stderr may have ended
        if rank and folder:
            Path(folder, rank).write_text(str(error), encoding="utf-8")
        else:
            print(f"error in rank {rank}: {error}" if rank else f"error: {error}", file=sys.stderr, flush=True)
    return error.exit_status


def disk_full(error: OSError, where: object) -> PetsegError | None:
    """An error for a full disk or quota while writing `where`; None if `error` has another cause."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    return PetsegError(f"The disk is full: {where} could not be written; free some space and run this again.")


def _known_cause(error: OSError) -> PetsegError | None:
    """An error that tells the user what to do; None if `error` is a bug."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and error.filename:
        cure = "change the permissions of the file or of its folder."
        return PetsegError(f"{error.filename} cannot be read or written ({error.strerror}); {cure}")
    if error.errno in (errno.EEXIST, errno.ENOTDIR) and (file := _file_in_the_way(error.filename)):
        return PetsegError(f"{file} is a file, but a folder is needed there; rename it, and run this again.")
    if error.errno == errno.EISDIR:
        folder = error.filename2 or error.filename
        return PetsegError(f"{folder} is a folder, but a file is needed there; rename it, and run this again.")
    return disk_full(error, error.filename or "an output")


def _file_in_the_way(path: str | None) -> Path | None:
    """The part of `path` that is a file where a folder is needed; None if there is none."""
    parts = [*reversed(Path(path).parents), Path(path)] if path else []
    return next((part for part in parts if part.is_file()), None)
