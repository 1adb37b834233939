"""Starts one training process for each device of this machine with torchrun's launcher."""

import logging
import os
import signal
import sys
import tempfile
from pathlib import Path

from petseg.runtime import errors, machine

_RESUME = "run the same command again to resume from the last checkpoint."


class LaunchError(errors.PetsegError):
    """A training process failed, or a signal stopped the launcher."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


def launch(processes: int) -> None:
    """Runs this command once more in each of `processes` processes, as `torchrun --standalone` does; waits for them.

    Raises:
        LaunchError: a process failed and all were stopped, or a signal in `errors.STOPS` came and was passed on to all.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # The processes share the cores; data-loading workers are processes of their own.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, machine.cores() // processes)))
    logging.disable(logging.CRITICAL)  # torch's launcher logs tracebacks; LaunchError says the same in a sentence
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id="petseg",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(),
        signals_to_handle=",".join(number.name for number in errors.STOPS),
    )
    with tempfile.TemporaryDirectory(prefix="petseg-") as folder:
        os.environ[errors.MESSAGE_FOLDER] = folder
        try:
            elastic_launch(config, sys.executable)("-u", *sys.argv)
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            message = _failure(rank, failure.exitcode, _message(rank, Path(folder)))
            raise LaunchError(message, max(failure.exitcode, 1)) from None
        except SignalException as error:
            message = _message(0, Path(folder)) or f"stopped by {error.sigval.name}; {_RESUME}"
            raise LaunchError(message, 128 + error.sigval) from None
        finally:
            del os.environ[errors.MESSAGE_FOLDER]


def _failure(rank: int, exit_status: int, message: str) -> str:
    """The sentence for the first process that failed; a negative exit status is the signal that killed it."""
    if message:
        return f"rank {rank}: {message}"
    killed = exit_status < 0
    how = f"was killed by {signal.Signals(-exit_status).name}" if killed else f"ended with status {exit_status}"
    return f"Rank {rank} {how}, so all ranks were stopped; {_RESUME}"


def _message(rank: int, folder: Path) -> str:
    """The error message that a process left in `folder`; empty if there is none."""
    path = folder / str(rank)
    return path.read_text(encoding="utf-8") if path.exists() else ""
