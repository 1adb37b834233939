"""Batches against `Augment.__call__`, which is albumentations; and each operation against its definition."""

import pickle
import warnings

import numpy as np
import pytest
import torch

from petseg.data.augment import POLICIES, A, Augment, Operation
from petseg.data.augment_batch import OPERATIONS, apply, collate

# Of each transform: the greatest difference of a pixel, and of a sample's mean, in grey levels.
SINGLE = {
    "crop": (lambda size: A.RandomResizedCrop((size, size), scale=(0.3, 1.0), ratio=(0.75, 1.33), p=1), 1, 0.2),
    "rotate": (lambda size: A.Rotate(limit=180, p=1), 1, 0.01),
    "hflip": (lambda size: A.HorizontalFlip(p=1), 0, 0),
    "vflip": (lambda size: A.VerticalFlip(p=1), 0, 0),
    "brightness and contrast": (lambda size: A.RandomBrightnessContrast(0.6, 0.6, p=1), 0, 0),
    "gamma": (lambda size: A.RandomGamma((40, 250), p=1), 0, 0),
    "noise": (lambda size: A.GaussNoise(p=1), 0, 0),
    "noise, the same in all channels": (
        lambda size: A.GaussNoise(per_channel=False, mean_range=(-0.5, 0.5), p=1),
        0,
        0,
    ),
    "blur": (lambda size: A.GaussianBlur(p=1), 1, 0.01),
}


def generator(index):
    return np.random.default_rng([5, 1, 0, index])


def picture(size, rng):
    """Waves of colour with a disc of another colour, which the mask marks."""
    y, x = np.mgrid[:size, :size] / size
    phase = rng.uniform(0, 6, (3, 2))
    image = np.stack([125 + 110 * np.sin(5 * x + a) * np.cos(4 * y + b) for a, b in phase], axis=2)
    mask = (x - rng.uniform(0.2, 0.8)) ** 2 + (y - rng.uniform(0.2, 0.8)) ** 2 < rng.uniform(0.01, 0.1)
    image[mask] = 0.4 * image[mask] + rng.uniform(0, 150, 3)
    return image.astype(np.uint8), mask.astype(np.uint8)


def random_pixels(size, rng):
    return rng.integers(0, 256, (size, size, 3), np.uint8), rng.integers(0, 2, (size, size), np.uint8)


def tensors(samples):
    images, masks = (torch.from_numpy(np.stack(arrays)) for arrays in zip(*samples, strict=True))
    return images.permute(0, 3, 1, 2).contiguous(), masks[:, None].contiguous()


def both(augment, samples):
    """What albumentations does to the samples, and what `apply` does; images, masks, images, masks."""
    called = [augment(image, mask, generator(i)) for i, (image, mask) in enumerate(samples)]
    record = collate([augment.draw(generator(i)) for i in range(len(samples))])
    return *tensors(called), *apply(*tensors(samples), record)


def difference(images, others):
    return (images.int() - others.int()).abs().float()


@pytest.mark.parametrize("draw", [picture, random_pixels])
@pytest.mark.parametrize("size", [64, 96])
@pytest.mark.parametrize("name", SINGLE)
def test_each_transform_is_albumentations(monkeypatch, name, size, draw):
    transform, pixel, mean = SINGLE[name]
    monkeypatch.setitem(POLICIES, "single", lambda size: [transform(size)])
    rng = np.random.default_rng(1)
    samples = [draw(size, rng) for _ in range(30)]
    images, masks, ours, our_masks = both(Augment("single", size), samples)
    before, masks_before = tensors(samples)
    assert (difference(ours, before).amax((1, 2, 3)) > 0).float().mean() > 0.9  # nearly each sample is changed
    assert torch.equal(our_masks, masks_before) == (name not in ("crop", "rotate", "hflip", "vflip"))
    assert difference(ours, images).max() <= pixel
    assert difference(ours, images).mean((1, 2, 3)).max() <= mean
    # OpenCV takes one column in 9,000 from its left neighbour, by a rounding error of its own.
    agree = (our_masks == masks).float().mean((1, 2, 3))
    assert agree.min() >= 0.98
    assert agree.mean() >= 0.9995


@pytest.mark.parametrize(("size", "count"), [(64, 200), (128, 60)])
def test_the_policy_is_albumentations(size, count):
    rng = np.random.default_rng(2)
    images, masks, ours, our_masks = both(Augment("a", size), [picture(size, rng) for _ in range(count)])
    assert difference(ours, images).max() <= 3  # a difference of 1 before a steep table
    assert difference(ours, images).mean((1, 2, 3)).max() < 0.3
    assert (our_masks == masks).float().mean((1, 2, 3)).min() >= 0.995


def test_stages_follow_the_policys_order(monkeypatch):
    """Noise before a flip and a turn, two turns in a row: one after the other, as written."""
    turns = [A.GaussNoise(p=1), A.Rotate(p=1), A.HorizontalFlip(p=1), A.Rotate(p=1), A.RandomGamma(p=1)]
    monkeypatch.setitem(POLICIES, "long", lambda size: turns)
    rng = np.random.default_rng(3)
    images, masks, ours, our_masks = both(Augment("long", 64), [picture(64, rng) for _ in range(20)])
    assert difference(ours, images).max() <= 3
    assert difference(ours, images).mean() < 0.02
    assert (our_masks == masks).float().mean() > 0.999


def test_none_is_the_identity_and_inputs_are_left_alone():
    rng = np.random.default_rng(4)
    images, masks = tensors([picture(64, rng) for _ in range(8)])
    kept = images.clone(), masks.clone()
    none, a = Augment("none", 64), Augment("a", 64)
    same, same_masks = apply(images, masks, collate([none.draw(generator(i)) for i in range(8)]))
    assert torch.equal(same, images)
    assert torch.equal(same_masks, masks)
    changed, changed_masks = apply(images, masks, collate([a.draw(generator(i)) for i in range(8)]))
    assert not torch.equal(changed, images)
    assert (changed.shape, changed_masks.shape) == (images.shape, masks.shape)
    assert changed.dtype == changed_masks.dtype == torch.uint8
    assert torch.equal(images, kept[0])
    assert torch.equal(masks, kept[1])


def test_a_sample_does_not_depend_on_its_batch():
    augment, rng = Augment("a", 64), np.random.default_rng(5)
    images, masks = tensors([random_pixels(64, rng) for _ in range(40)])
    records = [augment.draw(generator(i)) for i in range(40)]
    together, masks_together = apply(images, masks, collate(records))
    shuffled = torch.from_numpy(rng.permutation(40))
    moved, moved_masks = apply(images[shuffled], masks[shuffled], collate([records[i] for i in shuffled]))
    assert torch.equal(moved, together[shuffled])
    assert torch.equal(moved_masks, masks_together[shuffled])
    for i in range(40):
        alone, mask_alone = apply(images[i : i + 1], masks[i : i + 1], collate([records[i]]))
        assert torch.equal(alone[0], together[i])
        assert torch.equal(mask_alone[0], masks_together[i])


def test_image_and_mask_move_together(monkeypatch):
    monkeypatch.setitem(POLICIES, "moves", lambda size: POLICIES["a"](size)[:2])
    image, mask = np.full((64, 64, 3), 40, np.uint8), np.zeros((64, 64), np.uint8)
    image[10:40, 20:52], mask[10:40, 20:52] = 220, 1
    _, _, images, masks = both(Augment("moves", 64), [(image, mask)] * 60)
    agree = ((images.float().mean(1, keepdim=True) > 130) == (masks == 1)).float().mean((1, 2, 3))
    assert agree.min() > 0.95
    assert (masks != torch.from_numpy(mask)).flatten(1).any(1).sum() > 30


def one(kind, value):
    return collate([[], [Operation(0, kind, value)]])


def test_warp_reads_x_then_y_and_is_black_outside():
    """A shift on a picture that is not square: what was 2 to the right and 1 below; the mask stays within x <= 3."""
    images = torch.arange(2 * 3 * 4 * 6, dtype=torch.uint8).view(2, 3, 4, 6) + 1
    masks = torch.ones(2, 1, 4, 6, dtype=torch.uint8)
    masks[:, :, :, 3] = 0
    shift = np.array([[1, 0, 2, 1, 0, 0, -1, 6], [0, 1, 1, 0, 1, 0, -1, 4]], np.float32)
    moved, moved_masks = apply(images, masks, one("warp", shift))
    expected = torch.zeros(3, 4, 6, dtype=torch.uint8)
    expected[:, :3, :4] = images[1, :, 1:, 2:]
    assert torch.equal(moved[1], expected)
    assert torch.equal(moved_masks, masks)
    shift[0, 7] = 3
    moved, moved_masks = apply(images, masks, one("warp", shift))
    assert torch.equal(moved[1, :, 0], images[1, :, 1, [2, 3, 3, 3, 3, 3]])
    assert moved_masks[1, 0, 0].tolist() == [1, 1, 1, 0, 0, 0]
    assert torch.equal(moved[0], images[0])


def test_a_cropped_mask_has_exact_columns_and_rows(monkeypatch):
    """floor(left + x * crop / size) in whole numbers, though it is computed in float32."""
    size = 600
    monkeypatch.setitem(POLICIES, "crops", lambda size: [SINGLE["crop"][0](size)])
    augment, masks = Augment("crops", size), torch.from_numpy(random_pixels(size, np.random.default_rng(7))[1])
    place = np.arange(size)
    for seed in (*range(10), 12, 78, 98, 123, 163):  # from 12: without room for rounding each would be wrong
        record = augment.draw(generator(seed))
        (left, last), (top, bottom) = record[0].value[:, 6:].astype(int)
        columns, rows = left + place * (last - left + 1) // size, top + place * (bottom - top + 1) // size
        _, moved = apply(torch.zeros(1, 3, size, size, dtype=torch.uint8), masks[None, None], collate([record]))
        assert torch.equal(moved[0, 0], masks[rows][:, columns])


def test_blur_is_separable_and_mirrors_at_the_edge():
    images, masks = torch.zeros(2, 3, 5, 7, dtype=torch.uint8), torch.zeros(2, 1, 5, 7, dtype=torch.uint8)
    images[:, :, 2, 3], images[:, 0, 2, 1] = 200, 100
    blurred, _ = apply(images, masks, one("blur", np.array([0.25, 0.5, 0.25], np.float32)))
    assert blurred[1, 1, 1:4, 2:5].tolist() == [[12, 25, 12], [25, 50, 25], [12, 25, 12]]  # 12.5 to even
    assert blurred[1, 0, 2].tolist() == [25, 25, 38, 50, 25, 0, 0]  # at 0 twice a quarter of the 50 beside it


def test_noise_saturates():
    images, masks = torch.full((2, 3, 2, 2), 100, dtype=torch.uint8), torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    noise = np.zeros((2, 2, 3), np.int16)
    noise[0, 1] = 300, -300, 7
    noisy, _ = apply(images, masks, one("noise", noise))
    assert noisy[1, :, 0, 1].tolist() == [255, 0, 107]
    assert (noisy != 100).sum() == 3


def test_a_record_is_small_and_survives_being_sent():
    augment = Augment("a", 64)
    records = [augment.draw(generator(i)) for i in range(64)]
    batch = pickle.loads(pickle.dumps(collate(records)))
    happened = [(o.stage, o.kind) for record in records for o in record]
    assert [(s.kind, len(s.rows), len(s.values)) for s in batch.steps] == [
        (kind, happened.count((stage, kind)), happened.count((stage, kind))) for stage, kind in sorted(set(happened))
    ]
    assert {s.kind for s in batch.steps} == set(OPERATIONS)
    for step in batch.steps:
        assert step.rows.tolist() == [i for i in range(64) if step.kind in {o.kind for o in records[i]}]
    assert {s.kind: s.values.dtype for s in batch.steps if s.kind in ("noise", "table")} == {
        "noise": torch.int16,
        "table": torch.uint8,
    }


def test_the_host_never_asks_for_what_the_device_computes():
    """On the meta device there are no numbers to ask for: .item(), nonzero and the like raise."""
    augment = Augment("a", 64)
    record = collate([augment.draw(generator(i)) for i in range(64)])
    images = torch.empty(64, 3, 64, 64, dtype=torch.uint8, device="meta")
    masks = torch.empty(64, 1, 64, 64, dtype=torch.uint8, device="meta")
    images, masks = apply(images, masks, record.to("meta"))
    assert (images.shape, masks.shape) == ((64, 3, 64, 64), (64, 1, 64, 64))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_without_waiting():
    augment, rng = Augment("a", 128), np.random.default_rng(6)
    images, masks = tensors([picture(128, rng) for _ in range(64)])
    record = collate([augment.draw(generator(i)) for i in range(64)])
    expected, expected_masks = apply(images, masks, record)
    images, masks, pinned = images.cuda(), masks.cuda(), record.pin_memory()
    with warnings.catch_warnings(action="ignore"):  # that the mode is a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        ours, our_masks = apply(images, masks, pinned.to("cuda", non_blocking=True))
        again, _ = apply(images, masks, pinned.to("cuda", non_blocking=True))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(ours, again)
    assert difference(ours.cpu(), expected).max() <= 3
    assert difference(ours.cpu(), expected).mean() < 0.01
    assert (our_masks.cpu() == expected_masks).float().mean() > 0.9999
