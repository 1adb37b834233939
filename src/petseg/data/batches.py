"""Packed arrays -> batches of tensors."""

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
        """Image (3, H, W) uint8 and mask (1, H, W) uint8, 1 for pet."""
        epoch, index = key
        rng = np.random.default_rng([self.seed, _SAMPLE, epoch, index])
        mask = foreground(self.trimaps[index]).astype(np.uint8)
        image, mask = self.augment(np.asarray(self.images[index]), mask, rng)
        chw = np.ascontiguousarray(image.transpose(2, 0, 1))
        return torch.from_numpy(chw), torch.from_numpy(np.ascontiguousarray(mask))[None]


class EpochOrder:
    """Batches of (epoch, index) keys: every sample once an epoch, in an order that depends on (seed, epoch).

    The last batch may be smaller. It is left out if it would hold a single sample: batch norm cannot train on one
    value a channel.
    """

    def __init__(self, samples: int, batch_size: int, seed: int) -> None:
        self.samples, self.batch_size, self.seed, self.epoch = samples, batch_size, seed, 0

    def __len__(self) -> int:
        full, rest = divmod(self.samples, self.batch_size)
        return full + (rest > 1)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.default_rng([self.seed, _ORDER, self.epoch, 0]).permutation(self.samples).tolist()
        for step in range(len(self)):
            yield [(self.epoch, index) for index in order[step * self.batch_size : (step + 1) * self.batch_size]]


def train_loader(samples: Samples, batch_size: int, workers: int, pin: bool) -> DataLoader:
    """Batches of images (B, 3, H, W) uint8 and masks (B, 1, H, W) uint8; set `.batch_sampler.epoch` before each epoch.

    Args:
        workers: processes that prepare batches; 0 prepares them in this one.
        pin: put batches into page-locked memory, which a GPU copies from without waiting.
    """
    return DataLoader(
        samples,
        batch_sampler=EpochOrder(len(samples), batch_size, samples.seed),
        num_workers=workers,
        pin_memory=pin,
        persistent_workers=workers > 0,
    )


def in_order(images: np.ndarray, trimaps: np.ndarray, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image once, in order: images (B, 3, H, W) uint8 and masks (B, 1, H, W) bool."""
    for start in range(0, len(images), batch_size):
        chunk = slice(start, start + batch_size)
        image = torch.from_numpy(np.array(images[chunk])).permute(0, 3, 1, 2)  # a copy: the map is read-only
        yield image, torch.from_numpy(foreground(trimaps[chunk]))[:, None]
