"""Packed arrays -> batches of tensors."""

import signal
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

Augment = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]

_ORDER, _SAMPLE = 0, 1  # separate random streams; always four words, since numpy ignores trailing zeros of a seed


def foreground(trimaps: np.ndarray) -> np.ndarray:
    """Pet and border (1 and 3) against background (2): bool of the same shape."""
    return trimaps != 2


class Samples(Dataset):
    """Augmented samples of the train split, looked up by (epoch, index).

    Sample i of epoch e depends only on (seed, e, i): not on workers, order or what was looked up before.

    Args:
        images: (N, H, W, 3) uint8.
        trimaps: (N, H, W) uint8, values 1 to 3.
        augment: what is done to each sample, such as `petseg.data.augment.Augment`.
        seed: of the augmentation.
    """

    def __init__(self, images: np.ndarray, trimaps: np.ndarray, augment: Augment, seed: int) -> None:
        self.images, self.trimaps, self.augment, self.seed = images, trimaps, augment, seed

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Image (H, W, 3) uint8 and mask (H, W) bool, True for pet."""
        epoch, index = key
        rng = np.random.default_rng([self.seed, _SAMPLE, epoch, index])
        mask = foreground(self.trimaps[index]).astype(np.uint8)
        image, mask = self.augment(np.array(self.images[index]), mask, rng)
        return torch.from_numpy(np.ascontiguousarray(image)), torch.from_numpy(np.ascontiguousarray(mask)).bool()


class EpochOrder:
    """Batches of (epoch, index) keys: every sample once an epoch, in an order that depends on (seed, epoch).

    The last batch may be smaller. It is left out if it would hold a single sample: batch norm cannot train on one
    value a channel. Set `epoch`, and `step` to leave out the first batches, before each iteration.

    Args:
        share: the part of a batch that this process takes; of several processes, all go through the same batches.
    """

    def __init__(
        self, samples: int, batch_size: int, seed: int, share: Callable[[list], list] = lambda batch: batch
    ) -> None:
        self.samples, self.batch_size, self.seed, self.share = samples, batch_size, seed, share
        self.epoch = self.step = 0

    def __len__(self) -> int:
        full, rest = divmod(self.samples, self.batch_size)
        return full + (rest > 1)

    @property
    def sizes(self) -> list[int]:
        """Samples in each batch of an epoch, all processes together."""
        return [min(self.batch_size, self.samples - step * self.batch_size) for step in range(len(self))]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.default_rng([self.seed, _ORDER, self.epoch, 0]).permutation(self.samples).tolist()
        for step in range(self.step, len(self)):
            batch = order[step * self.batch_size : (step + 1) * self.batch_size]
            yield [(self.epoch, index) for index in self.share(batch)]


def train_loader(samples: Samples, order: EpochOrder, workers: int, pin: bool) -> DataLoader:
    """Batches of images (B, H, W, 3) uint8 and masks (B, H, W) bool, in the given order.

    Args:
        workers: processes that prepare batches; 0 prepares them in this one.
        pin: put batches into page-locked memory, which a GPU copies from without waiting.
    """
    return DataLoader(
        samples,
        batch_sampler=order,
        num_workers=workers,
        pin_memory=pin,
        persistent_workers=workers > 0,
        worker_init_fn=_leave_signals,
    )


def _leave_signals(worker: int) -> None:
    """Makes a worker leave Ctrl-C to the process that it works for."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def in_order(
    images: np.ndarray, trimaps: np.ndarray, batch_size: int, first: int = 0, every: int = 1
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images (B, H, W, 3) uint8 and masks (B, H, W) bool in order: batch `first` and each `every`-th after it."""
    for start in range(first * batch_size, len(images), every * batch_size):
        chunk = slice(start, start + batch_size)
        # a copy of the images: the map is read-only
        yield torch.from_numpy(np.array(images[chunk])), torch.from_numpy(foreground(trimaps[chunk]))
