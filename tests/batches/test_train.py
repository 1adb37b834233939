import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from petseg.batches.evaluation import batches_in_order
from petseg.batches.policies import POLICIES
from petseg.batches.train import EpochSampler, TrainDataset, loader
from petseg.data import packed
from petseg.data.images import resize_image, resize_trimap


def arrays(n=7, size=16):
    rng = np.random.default_rng(5)
    return rng.integers(0, 256, (n, size, size, 3), np.uint8), rng.integers(1, 4, (n, size, size), np.uint8)


def dataset(policy="a", seed=3, **shape):
    return TrainDataset(*arrays(**shape), policy, seed)


def equal(batches, others):
    return len(batches) == len(others) and all(
        torch.equal(a, b)
        for batch, other in zip(batches, others, strict=True)
        for a, b in zip(batch, other, strict=True)
    )


def test_a_batch_has_the_images_and_masks_of_its_keys():
    images, trimaps = arrays()
    image, mask = dataset("none").__getitems__([(0, 4), (0, 2)])
    assert image.dtype == torch.uint8
    assert mask.dtype == torch.bool
    assert np.array_equal(image.numpy(), images[[4, 2]])
    assert np.array_equal(mask.numpy(), trimaps[[4, 2]] != 2)


def test_a_sample_depends_only_on_seed_epoch_and_index():
    a, b = dataset(), dataset()
    b.__getitems__([(0, i) for i in range(5)])  # earlier look-ups do not matter
    keys = [(epoch, index) for epoch in range(12) for index in range(7)]
    images, masks = a.__getitems__(keys)
    for i, key in enumerate(keys):
        image, mask = b[key]
        assert np.array_equal(images[i], image)
        assert np.array_equal(masks[i], mask)
    first = np.repeat(a.images[:1], 7, axis=0), np.repeat(a.trimaps[:1], 7, axis=0)
    views = {image.numpy().tobytes() for image in TrainDataset(*first, "a", 3).__getitems__(keys)[0]}
    assert len(views) > 50  # one image looks different in other epochs and at other indices
    assert (dataset(seed=4).__getitems__(keys)[0] != images).flatten(1).any(1).sum() > 40


def test_samples_grow_with_the_epochs():
    sized = TrainDataset(*arrays(), "a", 3, mix=0.5, sizes=[8, 8, 16])
    full = TrainDataset(*arrays(), "a", 3, mix=0.5)
    keys = [[(epoch, index) for index in range(7)] for epoch in range(3)]
    batches = [sized.__getitems__(each) for each in keys]
    assert [images.shape for images, _ in batches] == [(7, 8, 8, 3), (7, 8, 8, 3), (7, 16, 16, 3)]
    assert equal(batches[2:], [full.__getitems__(keys[2])])
    for (images, masks), (large, large_masks) in zip(batches[:2], map(full.__getitems__, keys[:2]), strict=True):
        for i in range(7):
            assert np.array_equal(images[i], resize_image(large[i].numpy(), 8))
            assert np.array_equal(masks[i], resize_trimap(large_masks[i].numpy().view(np.uint8), 8))


def test_an_epoch_has_every_sample_once_in_its_own_order():
    batches = list(EpochSampler(10, 4, seed=1, epochs=3))
    assert [len(batch) for batch in batches] == 3 * [4, 4, 2]
    epochs = [[key for batch in batches[start : start + 3] for key in batch] for start in (0, 3, 6)]
    for number, epoch in enumerate(epochs):
        assert {e for e, _ in epoch} == {number}
        assert sorted(index for _, index in epoch) == list(range(10))
    orders = [[index for _, index in epoch] for epoch in epochs]
    assert orders[0] != orders[1] != orders[2]
    assert orders[0] == [index for batch in EpochSampler(10, 4, seed=1, epochs=1) for _, index in batch]
    assert orders[0] != [index for batch in EpochSampler(10, 4, seed=2, epochs=1) for _, index in batch]


def test_a_last_batch_of_one_sample_is_dropped():
    assert [len(batch) for batch in EpochSampler(9, 4, seed=1, epochs=1)] == [4, 4]
    assert EpochSampler(9, 4, seed=1, epochs=1).sizes == [4, 4]
    assert EpochSampler(1, 4, seed=1, epochs=1).sizes == []


def test_a_process_without_a_sample_gets_an_empty_batch():
    batches = list(loader(dataset(), EpochSampler(7, 2, 3, 1, rank=3, world_size=4), 0, pin_memory=False))
    shapes = [(image.shape, image.dtype, mask.shape, mask.dtype) for image, mask in batches]
    assert shapes == [((0, 16, 16, 3), torch.uint8, (0, 16, 16), torch.bool)] * 3


@pytest.mark.parametrize("policy", POLICIES)
def test_workers_change_nothing(policy):
    samples = TrainDataset(*arrays(24), policy, 3, mix=0.5)
    alone, helped = (
        list(loader(samples, EpochSampler(24, 5, 3, epochs=2), workers, pin_memory=False)) for workers in (0, 2)
    )
    assert len(alone) == 10
    assert equal(alone, helped)


@pytest.mark.gpu
def test_pinned_batches_are_the_same():
    alone, pinned = (
        list(loader(dataset(), EpochSampler(7, 3, 3, 2), workers, pin_memory))
        for workers, pin_memory in ((0, False), (2, True))
    )
    assert all(tensor.is_pinned() for batch in pinned for tensor in batch)
    assert equal(alone, pinned)


SIGNALED = """
import os, signal, sys
import numpy as np
from petseg.batches.train import EpochSampler, TrainDataset, loader
from petseg.runtime.errors import STOPS

for number in STOPS:
    signal.signal(number, lambda *_: None)
images, trimaps = np.zeros((40, 16, 16, 3), np.uint8), np.ones((40, 16, 16), np.uint8)
batches = iter(loader(TrainDataset(images, trimaps, "a", 0), EpochSampler(40, 2, 3, 1), 2, pin_memory=False))
next(batches), next(batches)  # one of each worker: both ignore signals now
for number in STOPS:
    os.killpg(0, number)
print(2 + len(list(batches)))
"""


def test_signals_to_the_process_group_do_not_end_workers():
    """The training needs them until it has finished its step and saved."""
    environment = os.environ | {"PYTHONPATH": str(Path(packed.__file__).parents[2])}
    command = [sys.executable, "-c", SIGNALED]
    done = subprocess.run(command, env=environment, start_new_session=True, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "20\n"), done.stderr


@pytest.mark.parametrize("batch_size", [1, 3, 7, 50])
def test_evaluation_batches_have_every_image_once_in_order(batch_size):
    images, trimaps = arrays()
    batches = list(batches_in_order(images, trimaps, batch_size))
    assert all(len(image) <= batch_size for image, _ in batches)
    assert np.array_equal(torch.cat([image for image, _ in batches]).numpy(), images)
    masks = torch.cat([mask for _, mask in batches])
    assert masks.dtype == torch.bool
    assert np.array_equal(masks.numpy(), trimaps != 2)


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_evaluation_batches_of_several_processes_are_all_batches(step):
    images, trimaps = arrays(11)
    turns = [list(batches_in_order(images, trimaps, 3, first, step)) for first in range(step)]
    order = [turns[i % step][i // step][0] for i in range(4)]
    assert np.array_equal(torch.cat(order).numpy(), images)
    assert sum(map(len, turns)) == 4
