"""Many small tensors as one, for the way from a worker to the device."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod

import numpy as np
import torch
from torch import Tensor

_ALIGNED = 16  # bytes; a tensor begins at a multiple of its type's size


@dataclass(frozen=True)
class Bundle:
    """Tensors that lie in one piece of memory. However many they are, they are handed from process to process, pinned
    (a DataLoader does so by `pin_memory`) and copied to a device at once.

    Attributes:
        memory: uint8 (bytes,).
        parts: dtype and shape of each tensor.
    """

    memory: Tensor
    parts: tuple[tuple[torch.dtype, tuple[int, ...]], ...]

    @classmethod
    def of(cls, tensors: Sequence[Tensor]) -> "Bundle":
        """A copy of these; on the CPU, contiguous."""
        parts = tuple((tensor.dtype, tuple(tensor.shape)) for tensor in tensors)
        *starts, size = _starts(parts)
        memory = torch.empty(size, dtype=torch.uint8)
        for start, tensor in zip(starts, tensors, strict=True):  # by numpy, for which so little work takes less time
            memory.numpy()[start : start + tensor.nbytes] = tensor.numpy().reshape(-1).view(np.uint8)
        return cls(memory, parts)

    def to(self, device: torch.device, non_blocking: bool = False) -> "Bundle":
        return Bundle(self.memory.to(device, non_blocking=non_blocking), self.parts)

    def pin_memory(self) -> "Bundle":
        return Bundle(self.memory.pin_memory(), self.parts)

    def tensors(self) -> list[Tensor]:
        """Views of the memory."""
        return [
            self.memory[start : start + _nbytes(part)].view(part[0]).view(part[1])
            for start, part in zip(_starts(self.parts), self.parts, strict=False)
        ]


def _nbytes(part: tuple[torch.dtype, tuple[int, ...]]) -> int:
    dtype, shape = part
    return prod(shape) * dtype.itemsize


def _starts(parts: Sequence[tuple[torch.dtype, tuple[int, ...]]]) -> list[int]:
    """Where each begins, in bytes, and then where all end."""
    return list(accumulate((-(-_nbytes(part) // _ALIGNED) * _ALIGNED for part in parts), initial=0))
