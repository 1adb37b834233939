"""Packed arrays -> augmented batches of the train split, prepared on the CPU."""

import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from petseg.batches import cutmix, sample_rng
from petseg.batches.augment import Augment
from petseg.data.packed import foreground
from petseg.runtime.errors import STOPS

_AHEAD = 2  # batches that each worker prepares before they are asked for


class Samples(Dataset):
    """Batches of augmented samples of the train split, looked up by lists of (epoch, index).

    Sample i of epoch e depends only on (seed, e, i): not on workers, order or what was looked up before.

    Args:
        images: (N, H, W, 3) uint8.
        trimaps: (N, H, W) uint8, values 1 to 3.
        augment: what is done to each sample.
        seed: of the augmentation.
        mixing: the probability that a part of a sample is that of another one, see `petseg.batches.cutmix`.
    """

    def __init__(
        self, images: np.ndarray, trimaps: np.ndarray, augment: Augment, seed: int, mixing: float = 0.0
    ) -> None:
        self.images, self.trimaps = np.asarray(images), np.asarray(trimaps)  # plain views: a memmap's rows take longer
        self.augment, self.seed, self.mixing = augment, seed, mixing
        self.streams = sample_rng.Streams(seed)
        self._room = _Room()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, keys: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        """Images (B, H, W, 3) uint8 and masks (B, H, W) bool, True for pet; B is 0 where there are no keys."""
        shape = len(keys), *self.images.shape[1:3]
        images, masks = _empty(shape) if get_worker_info() is None else self._room.take(shape)
        for image, mask, (epoch, index) in zip(images.numpy(), masks.numpy(), keys, strict=True):
            rng = self.streams.at(epoch, index)
            image[:], mask[:] = self._augmented(index, rng)
            patch = cutmix.draw(self.mixing, len(self), len(image), rng)
            if patch is not None:
                other_image, other_mask = self._augmented(patch.partner, rng)
                image[patch.window], mask[patch.window] = other_image[patch.window], other_mask[patch.window]
        return images, masks.view(torch.bool)

    def _augmented(self, index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return self.augment(self.images[index], foreground(self.trimaps[index]).view(np.uint8), rng)


class _Room:
    """Memory that a worker shares with the process that it works for, to put its batches into.

    Fresh shared pages would take half as long as the augmentation that fills them, so they are used again, after
    `_AHEAD` other batches: whoever then asks for one more is done with the batch in them, see `loader`.
    """

    def __init__(self) -> None:
        self._batches: deque[tuple[Tensor, Tensor]] = deque()

    def take(self, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
        """As `_empty`."""
        images, masks = self._batches.popleft() if len(self._batches) > _AHEAD else _empty((0, *shape[1:]))
        if len(images) < shape[0]:
            images, masks = (each.share_memory_() for each in _empty(shape))
        self._batches.append((images, masks))
        return images[: shape[0]], masks[: shape[0]]


def _empty(shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Room for B images (B, H, W, 3) and masks (B, H, W), uint8; `shape` is (B, H, W)."""
    return torch.empty((*shape, 3), dtype=torch.uint8), torch.empty(shape, dtype=torch.uint8)


class EpochOrder:
    """Batches of (epoch, index) keys: every sample once an epoch, in an order that depends on (seed, epoch).

    The last batch of an epoch may be smaller. It is left out if it would hold a single sample: batch norm cannot train
    on one value a channel. Set `epoch` and `step` to where an iteration is to begin.

    Args:
        share: the part of a batch that this process takes; of several processes, all go through the same batches.
        epochs: how many there are, one after the other, so that whoever prepares batches need not wait for one to end;
            None: an iteration ends with the epoch that it begins in.
    """

    def __init__(
        self,
        samples: int,
        batch_size: int,
        seed: int,
        share: Callable[[list], list] = lambda batch: batch,
        epochs: int | None = None,
    ) -> None:
        self.samples, self.batch_size, self.seed, self.share, self.epochs = samples, batch_size, seed, share, epochs
        self.epoch = self.step = 0

    def __len__(self) -> int:
        full, rest = divmod(self.samples, self.batch_size)
        return full + (rest > 1)

    @property
    def sizes(self) -> list[int]:
        """Samples in each batch of an epoch, all processes together."""
        return [min(self.batch_size, self.samples - step * self.batch_size) for step in range(len(self))]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        first = self.step
        for epoch in range(self.epoch, self.epoch + 1 if self.epochs is None else self.epochs):
            # 1, or it would be the stream that drawn image number `epoch` was made from
            order = np.random.default_rng([self.seed, epoch, 1]).permutation(self.samples).tolist()
            for step in range(first, len(self)):
                batch = order[step * self.batch_size : (step + 1) * self.batch_size]
                yield [(epoch, index) for index in self.share(batch)]
            first = 0


def loader(
    dataset: Dataset, order: EpochOrder, workers: int, pin: bool = False, context: BaseContext | None = None
) -> Iterable[Any]:
    """Batches that `dataset` holds under lists of keys, in the given order, anew at each iteration.

    Args:
        workers: processes that prepare batches; 0 prepares them in this one.
        pin: put batches into page-locked memory, which a GPU copies from without waiting.
        context: starts the workers, and then they get a copy of `dataset`; None forks them.
    """
    batches = DataLoader(
        dataset,
        sampler=order,
        batch_size=None,  # the order's lists are the batches
        num_workers=workers,
        prefetch_factor=_AHEAD if workers else None,
        multiprocessing_context=context if workers else None,
        pin_memory=pin,
        persistent_workers=workers > 0,
        collate_fn=as_it_is,
        worker_init_fn=_leave_signals,
    )
    return _Copied(batches) if isinstance(dataset, Samples) and workers and not pin else batches


@dataclass(frozen=True)
class _Copied:
    """Batches copied out of their workers' `_Room` before the next one is asked for, as pinning does too.

    By numpy, since torch's threads would wait for cores that the workers use. The last batches of each worker are kept,
    and with them the memory that they share: to map it again would take longer than the copy.
    """

    batches: DataLoader

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        kept = deque(maxlen=self.batches.num_workers * (_AHEAD + 1))
        for batch in self.batches:
            kept.append(batch)
            images, masks = (torch.from_numpy(each.numpy().copy()) for each in batch)
            yield images, masks


def as_it_is(batch: Any) -> Any:
    """The batch."""
    return batch


def _leave_signals(worker: int) -> None:
    """Makes a worker leave signals, which often come to a whole group, to the process that it works for."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(60))  # meanwhile that saves, and ends its workers
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)  # where it was started with them blocked
