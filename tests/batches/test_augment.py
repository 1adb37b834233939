import pickle

import numpy as np
import pytest
import torch

from petseg.batches.augment import Augment, cv2
from petseg.batches.policies import (
    POLICIES,
    A,
    Rotate,  # from there: albumentations itself may ask the network
)
from petseg.batches.recording import _RULES
from petseg.batches.sample_rng import SameStream
from petseg.batches.train import EpochOrder, Samples, loader

SIZE = 64
CHANGING = [policy for policy in POLICIES if policy != "none"]
JITTER = {"table", "contrast", "saturation"}

# Of each policy: entry and kind of all its operations.
STAGES = {
    "a": {0: {"warp"}, 1: {"hflip", "vflip"}, 2: {"table"}, 3: {"noise", "blur"}},
    "b": {0: {"hflip"}, 1: {"table"}, 2: JITTER | {"hue"}, 3: {"warp"}},
    "c": {0: {"hflip"}, 1: {"warp"}, 2: JITTER, 3: {"warp"}, 4: {"warp"}},
    "d_elastic": {0: {"field"}},
    "d_elastic_or_crop": {0: {"field", "warp"}},
    "petseg": {0: {"hflip"}, 1: {"warp"}, 2: {"warp"}, 3: JITTER},
    "none": {},
}


def sample():
    """A picture whose pet is exactly its bright part, so that image and mask can be compared after any move."""
    image = np.full((SIZE, SIZE, 3), 40, np.uint8)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    image[10:40, 20:52], mask[10:40, 20:52] = 220, 1
    return image, mask


def run(policy, seed):
    return Augment(policy, SIZE)(*sample(), np.random.default_rng(seed))


def test_none_changes_nothing():
    image, mask = run("none", 0)
    assert np.array_equal(image, sample()[0])
    assert np.array_equal(mask, sample()[1])


@pytest.mark.parametrize("policy", POLICIES)
def test_shapes_and_types_are_kept_and_the_mask_stays_binary(policy):
    for seed in range(30):
        image, mask = run(policy, seed)
        assert image.shape == (SIZE, SIZE, 3)
        assert image.dtype == mask.dtype == np.uint8
        assert mask.shape == (SIZE, SIZE)
        assert set(np.unique(mask)) <= {0, 1}


@pytest.mark.parametrize(
    ("policy", "agreement", "moved_share"),
    [
        ("a", 0.75, (0.4, 0.95)),  # noise hides pixels; 1 - 0.5 * 0.5 are moved
        ("b", 0.97, (0.55, 0.95)),
        ("c", 0.97, (0.95, 1)),
        ("d_elastic", 0.97, (0.05, 0.4)),
        ("d_elastic_or_crop", 0.97, (0.05, 0.4)),
        ("petseg", 0.95, (0.95, 1)),  # turned, then enlarged: two roundings at each edge
    ],
)
def test_image_and_mask_move_together(policy, agreement, moved_share):
    moved = 0
    for seed in range(80):
        image, mask = run(policy, seed)
        moved += not np.array_equal(mask, sample()[1])
        if mask.min() == mask.max():  # a crop inside or beside the pet
            assert np.ptp(image) < 10
            continue
        brightness = image.astype(float).mean(axis=2)  # noise can hide a pixel, never the means
        pet, background = brightness[mask == 1].mean(), brightness[mask == 0].mean()
        assert pet > background + 60
        assert ((brightness > (pet + background) / 2) == (mask == 1)).mean() > agreement
    assert moved_share[0] <= moved / 80 <= moved_share[1]


def test_elastic_moves_image_and_mask_by_one_field():
    """A board of 4 x 4 pixels: a field of another, or x and y swapped, would show in each square."""
    y, x = np.mgrid[:SIZE, :SIZE] // 4
    board = ((x + y) % 2).astype(np.uint8)
    augment, moved = Augment("d_elastic", SIZE), 0
    for seed in range(100):
        image, mask = augment(np.repeat(40 + 180 * board[..., None], 3, axis=2), board, np.random.default_rng(seed))
        if (mask != board).mean() > 0.05:
            moved += 1
            assert ((image[..., 0] > 130) == mask).mean() > 0.98
            assert ((image[..., 0] > 130) != board).mean() > 0.05
    assert 8 <= moved <= 35


@pytest.mark.parametrize("policy", CHANGING)
def test_everything_depends_on_the_generator_alone(policy):
    augment, seeds = Augment(policy, SIZE), range(30)
    first = [augment(*sample(), np.random.default_rng(seed)) for seed in seeds]
    again = [augment(*sample(), np.random.default_rng(seed)) for seed in reversed(seeds)]
    for one, other in zip(first, reversed(again), strict=True):
        assert np.array_equal(one[0], other[0])
        assert np.array_equal(one[1], other[1])
    assert len({image.tobytes() for image, _ in first}) >= 3


def test_our_rotate_is_albumentations_to_the_bit():
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    ours, theirs = Rotate(limit=90, p=1), A.Rotate(limit=90, p=1)
    for seed in range(50):
        for transform in (ours, theirs):
            transform.set_random_seed(seed)
        turned, expected = (transform(image=image, mask=sample()[1]) for transform in (ours, theirs))
        assert np.array_equal(turned["image"], expected["image"])
        assert np.array_equal(turned["mask"], expected["mask"])


def three_of_a_list(size):
    return [A.OneOf([A.HorizontalFlip(p=0.7), A.RandomGamma(p=0.2), A.Transpose(p=0.4)], p=0.8), A.VerticalFlip(p=1)]


@pytest.mark.parametrize("policy", [*POLICIES, "three"])
def test_a_policy_is_what_compose_makes_of_it_to_the_bit(monkeypatch, policy):
    monkeypatch.setitem(POLICIES, "three", three_of_a_list)
    monkeypatch.setitem(_RULES, A.Transpose, (None, {}))
    augment, compose = Augment(policy, SIZE), A.Compose(POLICIES[policy](SIZE))
    for seed in range(200):
        ours, theirs = np.random.default_rng(seed), np.random.default_rng(seed)
        image, mask = augment(*sample(), ours)
        compose.set_random_state(theirs, SameStream().of(theirs))
        expected = compose(image=sample()[0], mask=sample()[1])
        assert np.array_equal(image, expected["image"])
        assert np.array_equal(mask, expected["mask"])
        assert ours.bit_generator.state == theirs.bit_generator.state


@pytest.mark.parametrize("policy", CHANGING)
def test_workers_change_nothing(policy):
    rng = np.random.default_rng(5)
    images, trimaps = rng.integers(0, 256, (24, 32, 32, 3), np.uint8), rng.integers(1, 4, (24, 32, 32), np.uint8)
    samples, order = Samples(images, trimaps, Augment(policy, 32), seed=3), EpochOrder(24, 4, seed=3)
    here, there = (list(loader(samples, order, workers)) for workers in (0, 2))
    assert len(here) == len(there) == 6
    for batch, other in zip(here, there, strict=True):
        assert torch.equal(batch[0], other[0])
        assert torch.equal(batch[1], other[1])


@pytest.mark.parametrize("policy", POLICIES)
def test_draw_is_what_a_call_would_do_whatever_was_drawn_before(policy):
    augment, fresh = Augment(policy, SIZE), Augment(policy, SIZE)
    for seed in range(60):
        called, drawn = np.random.default_rng(seed), np.random.default_rng(seed)
        fresh(*sample(), called)
        record = augment.draw(drawn)
        assert drawn.bit_generator.state == called.bit_generator.state
        again = Augment(policy, SIZE).draw(np.random.default_rng(seed))
        assert [(o.stage, o.kind) for o in record] == [(o.stage, o.kind) for o in again]
        assert all(np.array_equal(o.value, other.value) for o, other in zip(record, again, strict=True))


@pytest.mark.parametrize("policy", POLICIES)
def test_a_record_is_in_the_policys_order_and_says_nothing_where_nothing_happens(policy):
    augment, kinds = Augment(policy, SIZE), {}
    for seed in range(200):
        record = augment.draw(np.random.default_rng(seed))
        stages = [operation.stage for operation in record]
        assert stages == sorted(set(stages))
        for operation in record:
            kinds.setdefault(operation.stage[0], set()).add(operation.kind)
        image, mask = augment(*sample(), np.random.default_rng(seed))
        unchanged = np.array_equal(image, sample()[0]) and np.array_equal(mask, sample()[1])
        assert unchanged or record
    assert kinds == STAGES[policy]


@pytest.mark.parametrize("policy", CHANGING)
def test_draw_survives_being_sent_to_a_worker(policy):
    sent = pickle.loads(pickle.dumps(Augment(policy, SIZE)))
    for seed in range(20):
        here, there = (a.draw(np.random.default_rng(seed)) for a in (Augment(policy, SIZE), sent))
        assert [o.kind for o in here] == [o.kind for o in there]
        assert all(np.array_equal(o.value, other.value) for o, other in zip(here, there, strict=True))


@pytest.mark.parametrize(
    ("transform", "told"),
    [
        (A.GridDistortion(p=1), "GridDistortion"),
        (A.OneOf([A.HorizontalFlip(p=1), A.HueSaturationValue(p=1)]), "HueSaturationValue"),
        (A.Sequential([A.HorizontalFlip(p=1)]), "Sequential"),
        (Rotate(border_mode=cv2.BORDER_REFLECT_101), "Rotate.*border_mode"),
        (Rotate(fill=7.0), "Rotate.*fill"),
        (Rotate(crop_border=True), "Rotate.*crop_border"),
        (A.RandomResizedCrop((SIZE, SIZE), interpolation=cv2.INTER_CUBIC), "RandomResizedCrop.*interpolation"),
        (A.Affine(fit_output=True), "Affine.*fit_output"),
        (A.Affine(mask_interpolation=cv2.INTER_LINEAR), "Affine.*mask_interpolation"),
        (A.ElasticTransform(interpolation=cv2.INTER_CUBIC), "ElasticTransform.*interpolation"),
        (A.ElasticTransform(fill_mask=1.0), "ElasticTransform.*fill_mask"),
        (A.RandomBrightnessContrast(brightness_by_max=False), "RandomBrightnessContrast.*brightness_by_max"),
    ],
)
def test_what_batches_cannot_do_is_refused_at_once(monkeypatch, transform, told):
    monkeypatch.setitem(POLICIES, "new", lambda size: [transform])
    with pytest.raises(NotImplementedError, match=told):
        Augment("new", SIZE)
