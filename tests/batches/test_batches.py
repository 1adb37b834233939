import os
import pickle
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from petseg.batches.augment import Augment
from petseg.batches.evaluation import in_order
from petseg.batches.on_device import InGroups, OnDevice, _Draws, fork_server, hold, train_batches
from petseg.batches.train import EpochOrder, Samples, loader
from petseg.data import packed
from petseg.data.packed import foreground
from petseg.training.seeding import seed_everything


def arrays(n=7, size=16):
    rng = np.random.default_rng(5)
    return rng.integers(0, 256, (n, size, size, 3), np.uint8), rng.integers(1, 4, (n, size, size), np.uint8)


def samples(policy="a", seed=3, **kwargs):
    images, trimaps = arrays(**kwargs)
    return Samples(images, trimaps, Augment(policy, images.shape[1]), seed)


def test_pet_and_border_are_foreground():
    assert foreground(np.array([1, 2, 3], np.uint8)).tolist() == [True, False, True]


def test_a_sample_is_its_image_and_mask():
    images, trimaps = arrays()
    image, mask = samples("none")[[(0, 4), (0, 2)]]
    assert image.dtype == torch.uint8
    assert mask.dtype == torch.bool
    assert np.array_equal(image.numpy(), images[[4, 2]])
    assert np.array_equal(mask.numpy(), trimaps[[4, 2]] != 2)


def test_a_sample_depends_on_seed_epoch_and_index_alone():
    a, b = samples(), samples()
    _ = b[[(0, i) for i in range(5)]]  # what was looked up before does not matter, nor what with
    pairs = [(e, i) for e in range(12) for i in range(7)]
    images, masks = a[pairs]
    assert all(torch.equal(images[i], b[[key]][0][0]) for i, key in enumerate(pairs))
    assert all(torch.equal(masks[i], b[[key]][1][0]) for i, key in enumerate(pairs))
    same = samples()
    same.images = np.repeat(same.images[:1], 7, axis=0)
    same.trimaps = np.repeat(same.trimaps[:1], 7, axis=0)
    views = {image.numpy().tobytes() for image in same[pairs][0]}
    assert len(views) > 50  # one image, other epochs and indices: other views
    other = samples(seed=4)
    assert (other[pairs][0] != images).flatten(1).any(1).sum() > 40


def test_an_epoch_holds_every_sample_once_in_its_own_order():
    order = EpochOrder(samples=10, batch_size=4, seed=1)
    epochs = []
    for epoch in (0, 1, 0):
        order.epoch = epoch
        batches = list(order)
        assert [len(batch) for batch in batches] == [4, 4, 2]
        assert len(order) == 3
        assert {e for batch in batches for e, _ in batch} == {epoch}
        epochs.append([i for batch in batches for _, i in batch])
        assert sorted(epochs[-1]) == list(range(10))
    assert epochs[0] == epochs[2] != epochs[1]
    assert epochs[0] != [i for batch in EpochOrder(10, 4, seed=2) for _, i in batch]


def test_a_last_batch_of_one_is_left_out():
    order = EpochOrder(samples=9, batch_size=4, seed=1)
    assert [len(batch) for batch in order] == [4, 4]
    assert len(order) == 2
    assert len(EpochOrder(samples=1, batch_size=4, seed=1)) == 0


def test_an_epoch_goes_on_after_any_step():
    order = EpochOrder(samples=10, batch_size=4, seed=1)
    batches = list(order)
    for order.step in range(4):
        assert list(order) == batches[order.step :]
    assert order.sizes == [len(batch) for batch in batches]
    assert EpochOrder(9, 4, seed=1).sizes == [4, 4]


@pytest.mark.parametrize("workers", [0, 2])
def test_epochs_follow_one_another_from_anywhere(workers):
    order, one = EpochOrder(9, 4, seed=1, epochs=3), EpochOrder(9, 4, seed=1)
    every = []
    for one.epoch in range(3):
        every += list(one)
    places = [(epoch, step) for epoch in range(3) for step in range(2)]
    for begun, (order.epoch, order.step) in enumerate(places):
        assert list(loader(Keys(), order, workers)) == every[begun:]
    order.epoch, order.step = 1, 2  # only the validation of the epoch was left
    assert list(order) == every[4:]
    order.epoch, order.step = 3, 0
    assert list(order) == []


class Keys(torch.utils.data.Dataset):
    """What is looked up."""

    def __getitem__(self, keys):
        return keys


@pytest.mark.parametrize("size", [2, 3, 4])
def test_shares_of_a_batch_are_the_batch(size):
    whole = list(EpochOrder(10, 4, seed=1))
    shares = [list(EpochOrder(10, 4, seed=1, share=lambda batch, rank=rank: batch[rank::size])) for rank in range(size)]
    for step, batch in enumerate(whole):
        parts = [share[step] for share in shares]
        assert sorted(key for part in parts for key in part) == sorted(batch)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_turns_of_several_processes_are_all_batches():
    images, trimaps = arrays(11)
    for every in (1, 2, 3, 5):
        turns = [list(in_order((images, trimaps), 3, first, every)) for first in range(every)]
        order = [turns[i % every][i // every][0] for i in range(4)]
        assert np.array_equal(torch.cat(order).numpy(), images)
        assert sum(map(len, turns)) == 4


def test_workers_change_nothing():
    orders = [EpochOrder(7, 3, seed=3) for _ in range(2)]
    a = samples()
    alone, helped = (loader(a, order, workers) for order, workers in zip(orders, (0, 2), strict=True))
    for epoch in (0, 1):
        orders[0].epoch = orders[1].epoch = epoch
        for (images, masks), (other_images, other_masks) in zip(alone, helped, strict=True):
            assert torch.equal(images, other_images)
            assert torch.equal(masks, other_masks)


@pytest.mark.parametrize("pin", [False, pytest.param(True, marks=pytest.mark.gpu)])
def test_batches_that_are_kept_stay_as_they_are_however_far_the_worker_is_ahead(pin, monkeypatch):
    a, order = samples(n=62), EpochOrder(62, 3, seed=3)
    order.step = 20  # a resumption: the last batch alone, which is smaller
    batches = loader(a, order, 1, pin)
    assert [len(images) for images, _ in batches] == [2]
    order.step = 0
    from_shared = torch.Tensor.numpy

    def late(tensor):  # when the worker has prepared all that it may
        time.sleep(0.02 if tensor.is_shared() else 0)
        return from_shared(tensor)

    monkeypatch.setattr(torch.Tensor, "numpy", late)
    for (images, masks), (expected, truth) in zip(list(batches), loader(a, order, 0), strict=True):
        assert torch.equal(images, expected)
        assert torch.equal(masks, truth)


@pytest.mark.parametrize("mixing", [0.0, 0.7])
@pytest.mark.parametrize(("workers", "context"), [(0, None), (0, fork_server()), (2, None), (2, fork_server())])
def test_batches_made_on_the_device_are_the_samples_but_for_rounding(workers, context, mixing):
    rng = np.random.default_rng(0)
    smooth = torch.from_numpy(rng.random((9, 3, 4, 4), np.float32))
    smooth = torch.nn.functional.interpolate(smooth, (64, 64), mode="bicubic").clamp(0, 1).permute(0, 2, 3, 1)
    images = (255 * smooth).byte().numpy()
    trimaps = np.where(images[..., 0] > 128, 1, 2).astype(np.uint8)
    a = Samples(images, trimaps, Augment("a", 64), 3, mixing)
    orders = [EpochOrder(9, 4, seed=3) for _ in range(2)]
    cpu, device = torch.device("cpu"), OnDevice(a, orders[0], torch.device("cpu"), workers, context)
    seed_everything(0)
    seen = 0
    for epoch in range(3):
        for order in orders:
            order.epoch, order.step = epoch, epoch  # the first batches left out, as after a resumption
        plain, as_it_is = train_batches(a, orders[1], cpu, 0)
        pairs = zip(map(device.make, device), map(as_it_is, plain), strict=True)
        for (image, mask), (expected, truth) in pairs:
            assert image.dtype == expected.dtype
            assert mask.dtype == truth.dtype
            assert (image.int() - expected.int()).abs().float().mean() < 0.5
            assert (mask == truth).float().mean() > 0.995
            seen += 1
    assert seen == 2 + 1 + 0
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled()


@pytest.mark.gpu
@pytest.mark.parametrize("mixing", [0.0, 0.7])
def test_a_gpu_makes_batches_without_waiting_and_as_a_cpu_does(mixing):
    seed_everything(0)  # in the deterministic mode that trainings use
    a = Samples(*arrays(n=30, size=64), Augment("petseg", 64), 3, mixing)
    gpu, cpu = (
        OnDevice(a, EpochOrder(30, 8, seed=3), torch.device(name), 1, fork_server()) for name in ("cuda", "cpu")
    )
    draws = list(gpu)
    gpu.make(draws[0])  # what is done once may wait
    with warnings.catch_warnings(action="ignore"):  # that the mode is a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        made = [gpu.make(draw) for draw in draws]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for (image, mask), (expected, truth) in zip(made, map(cpu.make, cpu), strict=True):
        assert (image.cpu().int() - expected.int()).abs().float().mean() < 0.5
        assert (mask.cpu() == truth).float().mean() > 0.995


def test_a_worker_that_draws_gets_no_images():
    a = samples(n=5000)
    assert len(pickle.dumps(_Draws(a.augment, a.streams, a.mixing, a.images.shape))) < 200_000 < a.images.nbytes / 10


SIGNALLED = """
import os, signal, time
import torch
from petseg.batches.on_device import OnDevice
from petseg.batches.on_device import fork_server
from test_batches import EpochOrder, samples

if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    batches = iter(OnDevice(samples(n=40), EpochOrder(40, 2, seed=3), torch.device("cpu"), 2, fork_server()))
    next(batches)
    os.killpg(0, signal.SIGTERM)
    os.killpg(0, signal.SIGINT)
    time.sleep(0.5)
    print(1 + len(list(batches)))
"""


def test_signals_to_the_group_end_neither_the_fork_server_nor_its_workers(tmp_path):
    """The training needs them until it has come to the end of its step and saved."""
    (tmp_path / "signalled.py").write_text(SIGNALLED)
    paths = os.pathsep.join([str(Path(packed.__file__).parents[2]), str(Path(__file__).parent)])
    command, environment = [sys.executable, tmp_path / "signalled.py"], os.environ | {"PYTHONPATH": paths}
    done = subprocess.run(command, env=environment, start_new_session=True, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "20\n"), done.stderr


def test_a_process_without_any_image_gets_an_empty_batch():
    a = samples()
    order = EpochOrder(7, 2, seed=3, share=lambda batch: batch[3::4])
    on_device = OnDevice(a, order, torch.device("cpu"), 0)
    for batches in (loader(a, order, 0), map(on_device.make, on_device)):
        shapes = [(image.shape, image.dtype, mask.shape, mask.dtype) for image, mask in batches]
        assert shapes == [((0, 16, 16, 3), torch.uint8, (0, 16, 16), torch.bool)] * 3


def test_groups_are_the_same_batches_anew_each_time_and_taken_together():
    taken = []

    class Batches:
        def __iter__(self):
            for i in range(7):
                taken.append(i)
                yield i

    groups = InGroups(Batches(), 3)
    for _ in range(2):
        taken.clear()
        seen = []
        for i in groups:
            seen.append(i)
            assert len(taken) == min(7, i // 3 * 3 + 3)
        assert seen == list(range(7))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("kind", ["arrays", "tensors"])
@pytest.mark.parametrize("batch_size", [1, 3, 7, 50])
def test_in_order_gives_every_image_once_in_order(batch_size, kind, device):
    images, trimaps = arrays()
    split = hold(images, trimaps, torch.device(device))
    assert isinstance(split[0], torch.Tensor if device == "cuda" else np.ndarray)
    if kind == "tensors":
        split = [torch.as_tensor(each) for each in split]
    batches = [(image.cpu(), mask.cpu()) for image, mask in in_order(split, batch_size)]
    assert all(len(image) <= batch_size for image, _ in batches)
    assert np.array_equal(torch.cat([image for image, _ in batches]).numpy(), images)
    masks = torch.cat([mask for _, mask in batches])
    assert masks.dtype == torch.bool
    assert np.array_equal(masks.numpy(), trimaps != 2)
