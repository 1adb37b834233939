"""Starts one training process a device of this machine, by torchrun's own launcher, and tells how they ended."""

import logging
import os
import signal
import sys
import tempfile
from pathlib import Path

from petseg.runtime import errors, machine


class Ended(errors.PetsegError):
    """The processes of a training have ended, and not well.

    Args:
        sentence: why.
        status: to exit with.
    """

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.exit_status = status


def launch(processes: int) -> None:
    """Runs this very command once more in each of so many processes, as `torchrun --standalone` would; waits for them.

    Raises:
        Ended: one of them did not end well, and all were stopped; or SIGTERM or SIGINT came, and was passed on to all.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # The cores are shared out; data workers are processes of their own.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, machine.cores() // processes)))
    logging.disable(logging.CRITICAL)  # what torch's launcher would log is said below
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
        signals_to_handle="SIGTERM,SIGINT",
    )
    with tempfile.TemporaryDirectory(prefix="petseg-") as folder:
        os.environ[errors.SENTENCES] = folder
        try:
            elastic_launch(config, sys.executable)("-u", *sys.argv)
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            raise Ended(_why(rank, failure.exitcode, Path(folder)), max(failure.exitcode, 1)) from None
        except SignalException as error:
            default = f"stopped by {error.sigval.name}; the same command goes on from its last checkpoint."
            raise Ended(_sentence(0, Path(folder)) or default, 128 + error.sigval) from None
        finally:
            del os.environ[errors.SENTENCES]


def _why(rank: int, status: int, folder: Path) -> str:
    """The sentence for the end of the first process.

    Args:
        status: its exit status; negative, the signal that killed it.
    """
    if said := _sentence(rank, folder):
        return f"rank {rank}: {said}"
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    return f"Rank {rank} {how}, so all were stopped; the same command goes on from the last checkpoint."


def _sentence(rank: int, folder: Path) -> str:
    """What a process has left for us to say; empty if it said nothing."""
    path = folder / str(rank)
    return path.read_text(encoding="utf-8") if path.exists() else ""
