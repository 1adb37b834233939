"""Splits in the memory of the device, and augmented batches of the train split made there."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context, resource_tracker
from multiprocessing.context import BaseContext
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from petseg.batches import augment_batch, cutmix
from petseg.batches.augment import Augment
from petseg.batches.bundle import Bundle
from petseg.batches.evaluation import Arrays
from petseg.batches.sample_rng import Streams
from petseg.batches.train import EpochOrder, Samples, as_it_is, loader
from petseg.data.packed import foreground
from petseg.runtime import pool

Batch = tuple[Tensor, Tensor]  # images (B, H, W, 3) uint8, masks (B, H, W) bool

_SHARE = 0.25  # of a GPU's memory that the images of a split may take; not of what is free, or equal runs might differ
_GROUP = 4 * 2**20  # bytes of images to augment in a row on a CPU, see `InGroups`; soon done, whatever their size


def train_batches(
    samples: Samples, order: EpochOrder, device: torch.device, workers: int
) -> tuple[Iterable[Any], Callable[[Any], Batch]]:
    """Batches in the given order, in two parts: what to wait for, one after the other, and what makes images
    (B, H, W, 3) uint8 and masks (B, H, W) bool of each without waiting.

    On a GPU whose memory has room for all images they are augmented there, see `OnDevice`; else on the CPU.

    Args:
        workers: processes that prepare batches; 0 prepares them in this one.
    """
    if device.type != "cuda":
        batches = loader(samples, order, workers)
        count = _GROUP // (order.batch_size * samples.images[0].nbytes)
        return batches if workers or count < 2 else InGroups(batches, count), as_it_is
    if not _has_room(device, samples.images, samples.trimaps):
        return loader(samples, order, workers, pin=True), as_it_is
    on_device = OnDevice(samples, order, device, workers, fork_server())
    return on_device, on_device.make


def hold(images: np.ndarray, trimaps: np.ndarray, device: torch.device) -> Arrays:
    """What is to be gone through in order many times: in the memory of a GPU that has room for it, else as it is."""
    if not _has_room(device, images, trimaps):
        return images, trimaps
    return tuple(torch.from_numpy(np.array(each)).to(device) for each in (images, trimaps))


def _has_room(device: torch.device, *arrays: np.ndarray) -> bool:
    """Whether it is a GPU whose memory these arrays take a small part of."""
    if device.type != "cuda":
        return False
    return sum(each.nbytes for each in arrays) <= _SHARE * torch.cuda.get_device_properties(device).total_memory


def fork_server() -> BaseContext:
    """Starts workers from a process of its own: one that has used CUDA and threads must not be forked.

    It imports once what takes long, but nothing of petseg: it does not know from which checkout.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["torch", "albumentations"])
    resource_tracker.ensure_running()  # else the server starts it, and then unblocks the signals that are to be blocked
    return context


class InGroups:
    """The same batches, of which several are taken from `batches` at once, anew at each iteration.

    A step of training leaves nothing else in a core's cache. A core that prepares batches too takes up to a quarter
    less time for them when it stays with them for a while.
    """

    def __init__(self, batches: Iterable[Batch], count: int) -> None:
        self.batches, self.count = batches, count

    def __iter__(self) -> Iterator[Batch]:
        batches = iter(self.batches)
        while group := list(islice(batches, self.count)):
            yield from group


class Draw(NamedTuple):
    """What becomes a batch of B samples, P of which get a patch of another one.

    Attributes:
        kinds: of the steps of `augment_batch`.
        tensors: indices, int64 (B + P,), of the samples and then of those that patches are taken from; places (P,) and
            patches (P, 3) as `cutmix.apply` takes them; then rows and values of each step, which is of all B + P.
    """

    kinds: tuple[str, ...]
    tensors: Bundle


class OnDevice:
    """`Samples` whose pixels lie in the device's memory and are augmented there, a batch at once.

    What happens to each sample is drawn by workers on the CPU, from the same random numbers; to iterate gives what was
    drawn for each batch, of which `make` makes the batch: that of `Samples` but for rounding
    (`petseg.batches.augment_batch`).

    Args:
        workers: processes that draw; 0 draws in this one.
        context: what starts them; None forks them.
    """

    def __init__(
        self,
        samples: Samples,
        order: EpochOrder,
        device: torch.device,
        workers: int,
        context: BaseContext | None = None,
    ) -> None:
        self.device = device
        self.images = torch.from_numpy(np.array(samples.images)).to(device)
        self.masks = torch.from_numpy(foreground(samples.trimaps)).to(device)
        draws = _Draws(samples.augment, samples.streams, samples.mixing, samples.images.shape)
        self._draws = loader(draws, order, workers, device.type == "cuda", context)

    def __iter__(self) -> Iterator[Draw]:
        with pool.undisturbed():
            draws = iter(self._draws)
        yield from draws

    def make(self, draw: Draw) -> Batch:
        """The batch that was drawn; does not wait for the device."""
        rows, places, patches, *values = draw.tensors.to(self.device, non_blocking=True).tensors()
        steps = list(map(augment_batch.Step, draw.kinds, values[::2], values[1::2]))
        images = self.images[rows].permute(0, 3, 1, 2)
        masks = self.masks[rows, None].byte()
        with _in_any_order():
            images, masks = augment_batch.apply(images, masks, steps)
            if len(places):
                images, masks = cutmix.apply(images, masks, places, patches)
        return images.permute(0, 2, 3, 1), masks[:, 0].bool()


@contextmanager
def _in_any_order() -> Iterator[None]:
    """Spares torch's deterministic mode the sorting of places that differ, which takes a dozen kernels each time."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


class _Draws(Dataset):
    """What happens to the samples of a batch, looked up by lists of (epoch, index): all that a worker needs to hold."""

    def __init__(self, augment: Augment, streams: Streams, mixing: float, shape: tuple[int, ...]) -> None:
        self.augment, self.streams, self.mixing = augment, streams, mixing
        self.count, self.size = shape[:2]  # of (N, H, W, 3)

    def __getitem__(self, keys: Sequence[tuple[int, int]]) -> Draw:
        records, partners, others, places, patches = [], [], [], [], []
        for place, (epoch, index) in enumerate(keys):
            rng = self.streams.at(epoch, index)
            records.append(self.augment.draw(rng))
            patch = cutmix.draw(self.mixing, self.count, self.size, rng)
            if patch is not None:
                others.append(self.augment.draw(rng))
                partners.append(patch.partner)
                places.append(place)
                patches.append(patch[1:])
        steps = augment_batch.collate(records + others)
        numbers = ([index for _, index in keys] + partners, places, patches)
        rows, places, patches = (torch.tensor(each, dtype=torch.int64) for each in numbers)
        tensors = [rows, places, patches.view(-1, 3)]
        for step in steps:
            tensors += step.rows, step.values
        return Draw(tuple(step.kind for step in steps), Bundle.of(tensors))
