"""How this machine computes a network: device, precision, memory format."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from petseg.config.training import Training
from petseg.runtime import machine
from petseg.runtime.errors import PetsegError


@dataclass(frozen=True)
class Plan:
    """One choice for a training and for its evaluation; benchmarks/speed.md has the figures behind it."""

    device: torch.device
    precision: Literal["fp32", "bf16"]
    channels_last: bool
    compiled: bool  # by torch.compile, for training
    workers: int  # processes that prepare batches for this one; 0: none

    def __str__(self) -> str:
        compiled = ", compiled" if self.compiled else ""
        return f"{self.device}, {self.precision}, channels {'last' if self.channels_last else 'first'}{compiled}"

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def place(self, network: nn.Module) -> nn.Module:
        """Moves a network, in place, to where and how it is computed."""
        torch.backends.cudnn.allow_tf32 = self.precision != "fp32"  # on a GPU it would be 10 bits instead of 23
        return network.to(device=self.device, memory_format=self.memory_format)

    def inputs(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """A batch as networks and losses take it.

        Args:
            images: (B, H, W, 3) uint8, on any device.
            masks: (B, H, W) bool.

        Returns:
            Pixels (B, 3, H, W) in [0, 255] and truth (B, 1, H, W), 0 or 1; float32 on the device.
        """
        pixels = images.to(self.device, non_blocking=True).permute(0, 3, 1, 2).float()
        truth = masks.to(self.device, non_blocking=True)[:, None].float()
        return pixels.contiguous(memory_format=self.memory_format), truth

    def autocast(self) -> AbstractContextManager:
        """bf16 for what gains by it (convolutions), float32 for the rest; weights and their updates stay float32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


def choose(training: Training, device: torch.device) -> Plan:
    """The plan for one network's training on `device`; `auto` precision is bf16 where the hardware computes in it.

    On a CPU channels last pays where the channels fill whole vectors (multiples of 16) and costs elsewhere, in batch
    norm's gradient above all; on a GPU it is what tensor cores read.
    """
    precision = training.precision
    if precision == "auto":
        precision = "bf16" if machine.has_bf16(device) else "fp32"
    on_gpu = device.type == "cuda"
    workers = max(1, machine.workers() // machine.local_processes()) if on_gpu else 0
    return Plan(device, precision, on_gpu or training.width % 16 == 0, training.compile, workers)


@contextmanager
def explain_out_of_memory(plan: Plan, batch_size: int, image_size: int, remedies: Sequence[str]) -> Iterator[None]:
    """Turns running out of memory, while a network is computed, into a sentence.

    Args:
        plan: where the network is computed.
        batch_size: images per forward pass.
        image_size: of the input, pixels.
        remedies: what to try, the best first.

    Raises:
        PetsegError: memory ran out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        raise PetsegError(
            f"Out of memory on {plan.device} with batches of {batch_size} images of {image_size} pixels; try "
            f"{', or '.join(remedies)}."
        ) from None


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # a plain RuntimeError of the CPU's allocator, CUDA, cuBLAS or cuDNN
    phrases = ("can't allocate memory", "out of memory", "ALLOC_FAILED", "ALLOCATION_FAILED")
    return any(phrase in str(error) for phrase in phrases)
