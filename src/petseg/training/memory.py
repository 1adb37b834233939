"""Memory that runs out, as a sentence with what to try."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from petseg.compute import Plan
from petseg.config.training import Training
from petseg.runtime.errors import PetsegError


@contextmanager
def explained(training: Training, plan: Plan, choices: Sequence[str]) -> Iterator[None]:
    """Runs what computes a network, batch by batch as in its training.

    Args:
        choices: what to try if memory runs out, the best first.

    Raises:
        PetsegError: memory ran out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
        at_once = training.micro_batch or training.batch_size
        raise PetsegError(
            f"Out of memory on {plan.device} with {at_once} images of {training.image_size} pixels at once; try "
            f"{', or '.join(choices)}."
        ) from None


def _out_of_memory(error: Exception) -> bool:
    text = str(error)  # of a CPU; of CUDA itself, cuBLAS and cuDNN, which say it in their own way
    by_kind = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return by_kind or any(
        part in text for part in ("can't allocate memory", "out of memory", "ALLOC_FAILED", "ALLOCATION_FAILED")
    )
