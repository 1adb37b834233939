"""Training batches: augmented samples of the train split, in random order, from a plain `DataLoader`.

Sample i of epoch e depends only on (seed, e, i): not on workers, processes or resumption.
"""

import signal
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from petseg.batches import cutmix
from petseg.batches.policies import POLICIES, A
from petseg.batches.sample_rng import epoch_order, sample_rng
from petseg.data.images import resize_image, resize_trimap
from petseg.data.packed import foreground
from petseg.runtime.errors import STOPS

Key = tuple[int, int]  # epoch, index


class TrainDataset(Dataset):
    """Augmented samples of the train split, looked up by (epoch, index).

    Args:
        images: (N, S, S, 3) uint8.
        trimaps: (N, S, S) uint8, values 1 to 3.
        policy: name of the augmentation policy, a key of `POLICIES`.
        seed: of the augmentation.
        mix: probability of CutMix per sample.
        sizes: height and width of the samples in each epoch, at most S, for progressive resizing; by default S.
    """

    def __init__(
        self,
        images: np.ndarray,
        trimaps: np.ndarray,
        policy: str,
        seed: int,
        mix: float = 0.0,
        sizes: Sequence[int] | None = None,
    ) -> None:
        self.images, self.trimaps = np.asarray(images), np.asarray(trimaps)  # rows of a memmap take longer to slice
        self.seed, self.mix, self.sizes = seed, mix, sizes
        self.augment = A.Compose(POLICIES[policy](self.images.shape[1]))
        cv2.setNumThreads(0)  # images are too small for threads, and the cores are busy with workers or with torch

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: Key) -> tuple[np.ndarray, np.ndarray]:
        """Image (S, S, 3) uint8 and mask (S, S) uint8, 1 for pet and border; smaller by `sizes`."""
        epoch, index = key
        generators = sample_rng(self.seed, epoch, index)
        self.augment.set_random_state(*generators)
        image, mask = self._augmented(index)
        patch = cutmix.sample_patch(self.mix, len(self), len(image), generators[0])
        if patch is not None:
            partner, window = patch
            other_image, other_mask = self._augmented(partner)
            image[window], mask[window] = other_image[window], other_mask[window]
        size = self.size_at(epoch)
        if size < len(image):
            image, mask = resize_image(image, size), resize_trimap(mask, size)
        return image, mask

    def size_at(self, epoch: int) -> int:
        """Height and width of the samples in an epoch."""
        return self.sizes[epoch] if self.sizes else self.images.shape[1]

    def __getitems__(self, keys: Sequence[Key]) -> tuple[Tensor, Tensor]:
        """A batch of one epoch: images (B, S, S, 3) uint8 and masks (B, S, S) bool.

        Filling one array is faster than collating.
        """
        size = self.size_at(keys[0][0]) if keys else self.images.shape[1]
        images, masks = np.empty((len(keys), size, size, 3), np.uint8), np.empty((len(keys), size, size), np.uint8)
        for i, key in enumerate(keys):
            images[i], masks[i] = self[key]
        return torch.from_numpy(images), torch.from_numpy(masks).view(torch.bool)

    def _augmented(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        mask = foreground(self.trimaps[index]).view(np.uint8)
        augmented = self.augment(image=self.images[index].copy(), mask=mask)
        return augmented["image"], augmented["mask"]


class EpochSampler(Sampler[list[Key]]):
    """Batches of (epoch, index) keys, epoch after epoch: every sample once per epoch, in random order.

    The order depends on (seed, epoch). The last batch of an epoch may be smaller; it is dropped if it would have a
    single sample, since batch norm cannot train on one value per channel. Iteration starts at `epoch` and `step`, which
    may be set before.

    Args:
        samples: size of the train split.
        batch_size: over all processes together.
        rank, world_size: of this process, which gets every `world_size`-th sample of each batch; maybe none.
    """

    def __init__(
        self, samples: int, batch_size: int, seed: int, epochs: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self.samples, self.batch_size, self.seed, self.epochs = samples, batch_size, seed, epochs
        self.rank, self.world_size = rank, world_size
        self.epoch = self.step = 0
        sizes = [min(batch_size, samples - start) for start in range(0, samples, batch_size)]
        self.sizes = [size for size in sizes if size > 1]  # of each batch of an epoch, all processes together

    def __iter__(self) -> Iterator[list[Key]]:
        first = self.step
        for epoch in range(self.epoch, self.epochs):
            order = epoch_order(self.seed, epoch, self.samples)
            for step in range(first, len(self.sizes)):
                batch = order[step * self.batch_size : (step + 1) * self.batch_size]
                yield [(epoch, index) for index in batch[self.rank :: self.world_size]]
            first = 0


def loader(dataset: TrainDataset, sampler: EpochSampler, workers: int, pin_memory: bool) -> DataLoader:
    """Batches in the order of `sampler`: images (B, S, S, 3) uint8 and masks (B, S, S) bool.

    Args:
        workers: data-loading processes; 0 prepares batches in this process.
        pin_memory: put batches into page-locked memory, from which a GPU copies asynchronously.
    """
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=_identity,  # pyright: ignore[reportArgumentType]  # torch expects `__getitems__` to return a list
        pin_memory=pin_memory,
        worker_init_fn=_ignore_signals,
    )


def _identity(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return batch


def _ignore_signals(worker: int) -> None:
    """Leaves signals, which often go to a whole process group, to the main process: it saves and ends its workers."""
    signal.set_wakeup_fd(-1)
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
