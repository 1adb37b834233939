"""Packed arrays -> augmented batches of the train split, prepared on the CPU."""

import signal
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from petseg.data.augment import Augment
from petseg.data.ordered import foreground

_ORDER, _SAMPLE = 0, 1  # separate random streams; always four words, since numpy ignores trailing zeros of a seed


class Samples(Dataset):
    """Augmented samples of the train split, looked up by (epoch, index).

    Sample i of epoch e depends only on (seed, e, i): not on workers, order or what was looked up before.

    Args:
        images: (N, H, W, 3) uint8.
        trimaps: (N, H, W) uint8, values 1 to 3.
        augment: what is done to each sample.
        seed: of the augmentation.
    """

    def __init__(self, images: np.ndarray, trimaps: np.ndarray, augment: Augment, seed: int) -> None:
        self.images, self.trimaps, self.augment, self.seed = images, trimaps, augment, seed

    def __len__(self) -> int:
        return len(self.images)

    def rng(self, epoch: int, index: int) -> np.random.Generator:
        """Where all chance of one sample comes from."""
        return np.random.default_rng([self.seed, _SAMPLE, epoch, index])

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Image (H, W, 3) uint8 and mask (H, W) bool, True for pet."""
        epoch, index = key
        mask = foreground(self.trimaps[index]).astype(np.uint8)
        image, mask = self.augment(np.array(self.images[index]), mask, self.rng(epoch, index))
        return torch.from_numpy(np.ascontiguousarray(image)), torch.from_numpy(np.ascontiguousarray(mask)).bool()

    def collate(self, samples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Images (B, H, W, 3) and masks (B, H, W); none at all in a process that a small batch does not reach."""
        if not samples:
            empty = torch.empty((0, *self.images.shape[1:]), dtype=torch.uint8)
            return empty, empty[..., 0].bool()
        images, masks = zip(*samples, strict=True)
        return torch.stack(images), torch.stack(masks)


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


def loader(dataset: Dataset, order: EpochOrder, workers: int, collate: Callable, pin: bool = False) -> DataLoader:
    """Batches of what `dataset` holds under the keys of `order`, anew at each iteration.

    Args:
        workers: processes that prepare batches; 0 prepares them in this one.
        collate: makes a batch of a list of samples, which may be empty.
        pin: put batches into page-locked memory, which a GPU copies from without waiting.
    """
    return DataLoader(
        dataset,
        batch_sampler=order,
        num_workers=workers,
        pin_memory=pin,
        persistent_workers=workers > 0,
        collate_fn=collate,
        worker_init_fn=_leave_signals,
    )


def _leave_signals(worker: int) -> None:
    """Makes a worker leave signals, which often come to a whole group, to the process that it works for."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(60))  # meanwhile that saves, and ends its workers
