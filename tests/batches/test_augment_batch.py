"""Batches against `Augment.__call__`, which is albumentations; of single operations see test_augment_operations.py."""

import pickle
import warnings

import numpy as np
import pytest
import torch

from petseg.batches.augment import Augment
from petseg.batches.augment_batch import OPERATIONS, Step, apply, collate
from petseg.batches.bundle import Bundle
from petseg.batches.policies import POLICIES, A, Rotate

# Of each transform: the greatest difference of a pixel, and of a sample's mean, in grey levels.
SINGLE = {
    "crop": (lambda size: A.RandomResizedCrop((size, size), scale=(0.3, 1.0), ratio=(0.75, 1.33), p=1), 1, 0.2),
    "rotate": (lambda size: Rotate(limit=180, p=1), 1, 0.01),
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
    "shift": (lambda size: A.Affine(translate_percent={"x": (-0.4, 0.4), "y": (-0.2, 0.2)}, p=1), 0, 0),
    "affine": (lambda size: A.Affine(scale=(0.5, 2.0), rotate=180, shear=(-20, 20), p=1), 1, 0.01),
    "elastic": (lambda size: A.ElasticTransform(alpha=15, sigma=5, noise_distribution="uniform", p=1), 1, 0.01),
    "elastic, far": (lambda size: A.ElasticTransform(alpha=400, sigma=5, p=1), 1, 0.01),
    "brightness": (lambda size: jitter(brightness=(0.2, 3.0)), 0, 0),
    "contrast": (lambda size: jitter(contrast=(0.1, 3.0)), 0, 0),
    "saturation": (lambda size: jitter(saturation=(0.1, 3.0)), 1, 0.01),
    # Of the way back from HSV, OpenCV cuts fractions off in one part of its code and rounds in another.
    "hue": (lambda size: jitter(hue=(-0.5, 0.5)), 1, 0.4),
    "all four": (lambda size: A.ColorJitter(p=1), 4, 0.5),
}
MOVES = {"crop", "rotate", "hflip", "vflip", "shift", "affine", "elastic", "elastic, far"}
CHANGING = [policy for policy in POLICIES if policy != "none"]


def jitter(brightness=(1.0, 1.0), contrast=(1.0, 1.0), saturation=(1.0, 1.0), hue=(0.0, 0.0)):
    return A.ColorJitter(brightness, contrast, saturation, hue, p=1)


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
    assert torch.equal(our_masks, masks_before) == (name not in MOVES)
    assert difference(ours, images).max() <= pixel
    assert difference(ours, images).mean((1, 2, 3)).max() <= mean
    # OpenCV takes one column in 9,000 from its left neighbour, by a rounding error of its own.
    agree = (our_masks == masks).float().mean((1, 2, 3))
    assert agree.min() >= 0.98
    assert agree.mean() >= 0.9995


@pytest.mark.parametrize("policy", CHANGING)
@pytest.mark.parametrize(("size", "count"), [(64, 100), (128, 30)])
def test_each_policy_is_albumentations(policy, size, count):
    rng = np.random.default_rng(2)
    images, masks, ours, our_masks = both(Augment(policy, size), [picture(size, rng) for _ in range(count)])
    assert difference(ours, images).max() <= 4  # a difference of 1 before a steep table
    assert difference(ours, images).mean((1, 2, 3)).max() < (0.5 if policy == "b" else 0.3)  # "hue", see above
    assert (our_masks == masks).float().mean((1, 2, 3)).min() >= 0.995


def test_stages_follow_the_policys_order(monkeypatch):
    """Noise before a flip and a turn, two turns in a row: one after the other, as written."""
    turns = [A.GaussNoise(p=1), Rotate(p=1), A.HorizontalFlip(p=1), Rotate(p=1), A.RandomGamma(p=1)]
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


@pytest.mark.parametrize("policy", CHANGING)
def test_a_sample_does_not_depend_on_its_batch(policy):
    augment, rng = Augment(policy, 64), np.random.default_rng(5)
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


def test_a_record_is_small_and_survives_being_sent():
    seen = set()
    for policy in CHANGING:
        augment = Augment(policy, 64)
        records = [augment.draw(generator(i)) for i in range(64)]
        batch = pickle.loads(pickle.dumps(collate(records)))
        happened = [(o.stage, o.kind) for record in records for o in record]
        assert [(s.kind, len(s.rows), len(s.values)) for s in batch] == [
            (kind, happened.count((stage, kind)), happened.count((stage, kind)))
            for stage, kind in sorted(set(happened))
        ]
        for (stage, kind), step in zip(sorted(set(happened)), batch, strict=True):
            rows = [i for i, record in enumerate(records) if (stage, kind) in {(o.stage, o.kind) for o in record}]
            assert step.rows.tolist() == rows
            assert step.values.dtype == {"noise": torch.int16, "table": torch.uint8}.get(kind, step.values.dtype)
            seen.add(kind)
    assert seen == set(OPERATIONS)


def sent(steps, device):
    """The same steps on a device."""
    values = Bundle.of([tensor for step in steps for tensor in (step.rows, step.values)]).to(device).tensors()
    return [Step(step.kind, values[2 * i], values[2 * i + 1]) for i, step in enumerate(steps)]


@pytest.mark.parametrize("policy", CHANGING)
def test_the_host_never_asks_for_what_the_device_computes(policy):
    """On the meta device there are no numbers to ask for: .item(), nonzero and the like raise."""
    augment = Augment(policy, 64)
    record = collate([augment.draw(generator(i)) for i in range(64)])
    images = torch.empty(64, 3, 64, 64, dtype=torch.uint8, device="meta")
    masks = torch.empty(64, 1, 64, 64, dtype=torch.uint8, device="meta")
    images, masks = apply(images, masks, sent(record, "meta"))
    assert (images.shape, masks.shape) == ((64, 3, 64, 64), (64, 1, 64, 64))


@pytest.mark.parametrize("policy", CHANGING)
@pytest.mark.gpu
def test_a_gpu_gives_the_same_without_waiting(policy):
    augment, rng = Augment(policy, 128), np.random.default_rng(6)
    images, masks = tensors([picture(128, rng) for _ in range(64)])
    record = collate([augment.draw(generator(i)) for i in range(64)])
    expected, expected_masks = apply(images, masks, record)
    images, masks, there = images.cuda(), masks.cuda(), sent(record, "cuda")
    with warnings.catch_warnings(action="ignore"):  # that the mode is a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        ours, our_masks = apply(images, masks, there)
        again, _ = apply(images, masks, there)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(ours, again)
    assert difference(ours.cpu(), expected).max() <= 4
    assert difference(ours.cpu(), expected).mean() < 0.01
    assert (our_masks.cpu() == expected_masks).float().mean() > 0.9999
