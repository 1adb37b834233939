"""The processes of one training. Each has the whole network and a share of every batch."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from petseg.runtime.errors import PetsegError
from petseg.runtime.signals import Interrupted
from petseg.training.sync_batch_norm import SyncBatchNorm2d

_TIMEOUT = timedelta(minutes=10)  # for a process that hangs
_GRACE = 20  # seconds that torchrun has to end the remaining processes after one has died


class World:
    """This process's place among `size` processes. Only rank 0, the main process, writes and prints."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    def __str__(self) -> str:
        return "1 process" if self.size == 1 else f"{self.size} processes"

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def micro_batches(self, batch_size: int, micro_batch: int | None) -> list[tuple[slice, float]]:
        """Divides a batch into micro-batches of at most `micro_batch` images, but of at least 2, for batch norm.

        A micro-batch has the same images however many processes there are.

        Args:
            batch_size, micro_batch: images of all processes together; None means no division.

        Returns:
            For each, the slice of this process's images, maybe empty, and its share of the batch, in (0, 1].
        """
        count = 1 if micro_batch is None else max(1, min(-(-batch_size // micro_batch), batch_size // 2))
        bounds = [batch_size * part // count for part in range(count + 1)]
        own = [len(range(self.rank, bound, self.size)) for bound in bounds]  # this process has every size-th image
        return [
            (slice(*part), (stop - start) / batch_size)
            for part, (start, stop) in zip(pairwise(own), pairwise(bounds), strict=True)
        ]

    def sum(self, part: Tensor) -> Tensor:
        """The sum of `part` over all processes; its gradient goes to this process's part."""
        return part if self.size == 1 else _AllReduceSum.apply(part)

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether any process has set it. Communicates on the CPU, without waiting for a GPU."""
        if self.size == 1:
            return list(flags)
        counts = torch.tensor(flags, dtype=torch.int32)
        dist.all_reduce(counts, dist.ReduceOp.MAX)
        return [bool(count) for count in counts.tolist()]

    def barrier(self) -> None:
        """Waits for all processes."""
        self.any(True)

    def from_main(self, make: Callable[[], Any]) -> Any:
        """What `make` returns in the main process, in every process; picklable."""
        made = [make() if self.is_main else None]
        if self.size > 1:
            dist.broadcast_object_list(made)
        return made[0]

    def wrap(self, network: nn.Module) -> nn.Module:
        """Wraps the network for training: gradients become the mean over processes after each backward pass, batch norm
        uses the statistics of all processes, and all start with the weights of the main process."""
        if self.size == 1:
            return network
        device = next(network.parameters()).device
        on_gpu = device.type == "cuda"
        network = (nn.SyncBatchNorm if on_gpu else SyncBatchNorm2d).convert_sync_batchnorm(network)
        for module in network.modules():
            if isinstance(module, nn.SyncBatchNorm):
                module.register_forward_pre_hook(_float_if_empty)
        wrapped = nn.parallel.DistributedDataParallel(
            network, [device] if on_gpu else None, gradient_as_bucket_view=True
        )
        wrapped.broadcast_buffers = False  # equal in all processes anyway; torch deprecates the argument of this name
        return wrapped

    def accumulate(self, model: nn.Module, last: bool) -> AbstractContextManager:
        """A context for one micro-batch of gradient accumulation: gradients are exchanged only after the `last`."""
        return nullcontext() if last or self.size == 1 else model.no_sync()  # pyright: ignore[reportCallIssue]


def _float_if_empty(norm: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor] | None:
    """Without images, torch's batch norm would send zeros of its input's dtype; the other processes send float32."""
    return (inputs[0].float(),) if len(inputs[0]) == 0 else None


class _AllReduceSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        total = part.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def is_launched() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


@contextmanager
def join(device: torch.device) -> Iterator[World]:
    """Yields the world of the processes that torchrun started, or a world of one.

    Raises:
        PetsegError: another process has died.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if not is_launched():
        yield World()
        return
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=_TIMEOUT)
        yield World(dist.get_rank(), dist.get_world_size())
    except RuntimeError as error:
        if not _is_lost_connection(error):
            raise
        _wait_for_torchrun()
        raise PetsegError(f"Another process of this training died ({error}); run the same command again.") from None
    except Interrupted:  # all processes stop at the same step
        dist.destroy_process_group()
        raise
    dist.destroy_process_group()


def _is_lost_connection(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or "gloo" in str(error).lower()


def _wait_for_torchrun() -> None:
    """Lets torchrun end this process, so that it reports the process that died first."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(_GRACE)
