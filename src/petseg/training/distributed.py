"""The processes of one training. Each holds the whole network and takes its share of every batch."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from petseg.runtime.errors import PetsegError
from petseg.runtime.signals import Interrupted
from petseg.training.sync_batch_norm import SyncBatchNorm2d

_TIMEOUT = timedelta(minutes=10)  # for a process that neither answers nor is dead
_PATIENCE = 20  # seconds in which torchrun ends the processes that are left, once one has died


class Team:
    """This process's place among `size` processes; `rank` 0 alone writes and prints."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    def __str__(self) -> str:
        return "1 process" if self.size == 1 else f"{self.size} processes"

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def share(self, items: list) -> list:
        """This process's part of a batch: every `size`-th item."""
        return items[self.rank :: self.size]

    def parts(self, size: int, count: int) -> list[slice]:
        """Where the parts of a batch begin and end among this process's images, if all divide it into `count` parts.

        The parts are the same images whatever the number of processes; some may have none of theirs in a part.

        Args:
            size: images in the batch, all processes together.
        """
        ends = [size * part // count for part in range(count + 1)]  # in the whole batch
        return [slice(self._before(start), self._before(stop)) for start, stop in pairwise(ends)]

    def _before(self, end: int) -> int:
        """How many of the first `end` images of a batch are this process's."""
        return len(range(self.rank, end, self.size))

    def sum(self, part: Tensor) -> Tensor:
        """The sum of every process's `part`; its gradient is that of this process's part alone."""
        return part if self.size == 1 else _Sum.apply(part)

    def any(self, wish: bool) -> bool:
        """Whether any process has this wish."""
        return self.any_of_each(wish)[0]

    def any_of_each(self, *wishes: bool) -> list[bool]:
        """`any` of several at once. Asked between two steps, on the CPU: it does not wait for a GPU."""
        if self.size == 1:
            return list(wishes)
        counts = torch.tensor(wishes, dtype=torch.int32)
        dist.all_reduce(counts, dist.ReduceOp.MAX)
        return [bool(count) for count in counts.tolist()]

    def wait(self) -> None:
        """Until all processes have come here."""
        self.any(True)

    def from_leader(self, make: Callable[[], Any]) -> Any:
        """What `make` gives in rank 0, in every process; picklable."""
        made = [make() if self.leads else None]
        if self.size > 1:
            dist.broadcast_object_list(made)
        return made[0]

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network as `loop.train` calls it: gradients become the mean over the processes after each backward pass,
        batch norm takes its statistics over all of them, and all begin with the weights of rank 0."""
        if self.size == 1:
            return network
        device = next(network.parameters()).device
        convert = nn.SyncBatchNorm if device.type == "cuda" else SyncBatchNorm2d
        ids = [device] if device.type == "cuda" else None
        network = convert.convert_sync_batchnorm(network)
        for module in network.modules():
            if isinstance(module, nn.SyncBatchNorm):
                module.register_forward_pre_hook(_float_if_empty)
        wrapped = nn.parallel.DistributedDataParallel(network, ids, gradient_as_bucket_view=True)
        wrapped.broadcast_buffers = False  # equal everywhere as it is; torch deprecates the argument of that name
        return wrapped


def _float_if_empty(norm: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor] | None:
    """Without any image torch's batch norm sends zeros of its input's type, but the other processes send float32."""
    return (inputs[0].float(),) if len(inputs[0]) == 0 else None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, part: Tensor) -> Tensor:
        total = part.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient


def launched() -> bool:
    """Whether torchrun started this process, which it tells by environment variables."""
    return "TORCHELASTIC_RUN_ID" in os.environ


@contextmanager
def join(device: torch.device) -> Iterator[Team]:
    """Yields the team that torchrun has set up, or a team of one.

    Raises:
        PetsegError: another process of the team has died.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if not launched():
        yield Team()
        return
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=_TIMEOUT)
        yield Team(dist.get_rank(), dist.get_world_size())
    except RuntimeError as error:
        if not _lost_connection(error):
            raise
        _wait_for_the_end()
        raise PetsegError(f"Another process of this training died ({error}); run the same command again.") from None
    except Interrupted:  # all stop at the same step
        dist.destroy_process_group()
        raise
    dist.destroy_process_group()


def _lost_connection(error: RuntimeError) -> bool:
    """Whether a collective operation failed because a peer has gone."""
    return isinstance(error, dist.DistError) or "gloo" in str(error).lower()


def _wait_for_the_end() -> None:
    """Leaves it to torchrun to end this process, too, and to name the one that died first."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(_PATIENCE)
