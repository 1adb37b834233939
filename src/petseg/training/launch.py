"""Starts one training process a device of this machine, by torchrun's own launcher, and tells how they ended."""

import logging
import os
import signal
import sys

from petseg import machine
from petseg.errors import PetsegError
from petseg.training.interrupts import Interrupted


class RankError(PetsegError):
    """One process of a training ended before the others.

    Args:
        rank: of it.
        status: its exit status; negative, the signal that killed it.
    """

    def __init__(self, rank: int, status: int) -> None:
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        super().__init__(f"Rank {rank} {how}, so all were stopped; the same command goes on from the last checkpoint.")
        self.exit_status = status if status > 0 else 1


def launch(processes: int) -> None:
    """Runs this very command once more in each of so many processes, as `torchrun --standalone` would; waits for them.

    Raises:
        RankError: one of them did not end well.
        Interrupted: SIGTERM or SIGINT came; it was passed on to them all.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # The cores are shared out; data workers are processes of their own.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, machine.cores() // processes)))
    logging.getLogger("torch.distributed.elastic").setLevel(logging.ERROR)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id="petseg",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(),
        signals_to_handle="SIGTERM,SIGINT",
    )
    try:
        elastic_launch(config, sys.executable)("-u", *sys.argv)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        raise RankError(rank, failure.exitcode) from None
    except SignalException as error:
        raise Interrupted(error.sigval, "its checkpoint") from None
