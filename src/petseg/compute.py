"""How networks are computed on this machine: device, precision, memory format."""

import sys
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
    """Choices for the training of a network and for its evaluation; benchmarks/speed.md has the measurements."""

    device: torch.device
    precision: Literal["fp32", "bf16"]
    channels_last: bool
    compiled: bool  # with torch.compile, for training
    workers: int  # data-loading processes for this process

    def __str__(self) -> str:
        compiled = ", compiled" if self.compiled else ""
        return f"{self.device}, {self.precision}, channels {'last' if self.channels_last else 'first'}{compiled}"

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def place(self, network: nn.Module) -> nn.Module:
        """Moves a network, in place, to the device and into the memory format."""
        if self.device.type == "cpu":
            machine.keep_freed_memory()
        torch.backends.cudnn.allow_tf32 = self.precision != "fp32"  # TF32 has 10 bits of mantissa instead of 23
        return network.to(device=self.device, memory_format=self.memory_format)  # pyright: ignore[reportCallIssue]

    def compile(self, model: nn.Module) -> nn.Module:
        """The model compiled for inputs of fixed shapes, if the plan says so."""
        return torch.compile(model, dynamic=False) if self.compiled else model  # pyright: ignore[reportReturnType]

    def inputs(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Moves a batch to the device, as networks and losses take it.

        Args:
            images: (B, H, W, 3) uint8.
            masks: (B, H, W) bool.

        Returns:
            Pixels (B, 3, H, W) in [0, 255] and truth (B, 1, H, W), 0 or 1; float32.
        """
        pixels = images.to(self.device, non_blocking=True).permute(0, 3, 1, 2).float()
        truth = masks.to(self.device, non_blocking=True)[:, None].float()
        return pixels.contiguous(memory_format=self.memory_format), truth

    def autocast(self) -> AbstractContextManager:
        """Mixed precision for bf16: convolutions in bfloat16, the rest and the weights in float32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


def choose(training: Training, device: torch.device) -> Plan:
    """The plan for one network on `device`.

    On a CPU channels last is faster if the channels fill whole vectors (multiples of 16) and slower otherwise, mainly
    in the gradient of batch norm; on a GPU it is the format of tensor cores. A GPU has data-loading workers; a CPU has
    none, since its cores are busy with the network.
    """
    on_gpu = device.type == "cuda"
    width = training.width  # pyright: ignore[reportAttributeAccessIssue]  # of the architecture
    workers = max(1, machine.workers() // machine.local_processes()) if on_gpu else 0
    return Plan(device, training.precision, on_gpu or width % 16 == 0, training.compile, workers)


def warn_if_emulated(plan: Plan) -> None:
    """Warns on stderr if the plan is bf16 and the hardware has no bfloat16 arithmetic, which makes it slow."""
    if plan.precision == "bf16" and not has_bf16(plan.device):
        print(
            f"warning: {plan.device} only emulates bf16, which is slow; use -S train.precision=fp32 (another precision "
            "is another experiment)",
            file=sys.stderr,
        )


def has_bf16(device: torch.device) -> bool:
    """Whether the hardware has bfloat16 arithmetic: GPUs since Ampere, x86 with AVX512-BF16 or AMX, Arm with BF16."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(machine.cpu_flags())


@contextmanager
def explain_out_of_memory(plan: Plan, batch_size: int, image_size: int, remedies: Sequence[str]) -> Iterator[None]:
    """Turns an out-of-memory error into a PetsegError that suggests the remedies.

    Args:
        batch_size: images per forward pass.
        image_size: their height and width, pixels.
        remedies: what to try, the best first.
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
    signs = ("can't allocate memory", "out of memory", "ALLOC_FAILED", "ALLOCATION_FAILED")  # CPU, CUDA, cuBLAS, cuDNN
    return any(sign in str(error) for sign in signs)
