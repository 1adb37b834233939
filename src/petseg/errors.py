"""Errors that a user can cause, and how a stage ends with one: a sentence on stderr, never a traceback."""

import errno
import os
import sys
from collections.abc import Callable


class PetsegError(Exception):
    """Something the user can put right. Its text is one sentence: what is wrong, where, and what to do."""

    exit_status = 1


class ParamsError(PetsegError):
    """params.yaml, a recipe or an override is wrong."""

    exit_status = 2


class DataError(PetsegError):
    """An image, a trimap, a list or an archive is wrong."""


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
    """Runs a stage's `main` and ends the process: status 0, or a sentence and the error's status; 130 after Ctrl-C."""
    try:
        main()
    except PetsegError as error:
        rank = f" in rank {os.environ['RANK']}" if "RANK" in os.environ else ""
        print(f"error{rank}: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except OSError as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(sentence.exit_status)
    except KeyboardInterrupt:
        print("interrupted; the same command starts again", file=sys.stderr)
        sys.exit(130)
