import pickle

import numpy as np
import pytest

from petseg.data.augment import POLICIES, A, Augment, cv2  # from there: albumentations itself may ask the network

SIZE = 64


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


def test_image_and_mask_move_together():
    moved = 0
    for seed in range(80):
        image, mask = run("a", seed)
        moved += not np.array_equal(mask, sample()[1])
        brightness = image.astype(float).mean(axis=2)  # noise can hide a pixel, never the means
        assert brightness[mask == 1].mean() > brightness[mask == 0].mean() + 60
        agree = ((brightness > 130) == (mask == 1)).mean()
        assert agree > 0.75
    assert 30 < moved < 75  # 1 - 0.5 * 0.5 = three in four


def test_everything_depends_on_the_generator_alone():
    augment = Augment("a", SIZE)
    first = [augment(*sample(), np.random.default_rng(seed)) for seed in (1, 2, 3)]
    again = [augment(*sample(), np.random.default_rng(seed)) for seed in (3, 1, 2)]
    for one, other in zip(first, [again[1], again[2], again[0]], strict=True):
        assert np.array_equal(one[0], other[0])
        assert np.array_equal(one[1], other[1])
    assert not np.array_equal(first[0][0], first[1][0])


def test_the_transforms_fire_independently():
    """albumentations 2.0.8 with Compose(seed=...) fires them all or none."""
    flipped = np.zeros((2, 2), int)
    for seed in range(400):
        image, mask = run("a", seed)
        geometry = not any(np.array_equal(mask, m) for m in (sample()[1], sample()[1][::-1], sample()[1][:, ::-1]))
        dark_or_light = abs(np.median(image[mask == 0]) - 40) > 0.5
        flipped[int(geometry), int(dark_or_light)] += 1
    share = flipped / flipped.sum()
    expected = np.outer(share.sum(axis=1), share.sum(axis=0))
    assert (flipped > 10).all()
    assert np.abs(share - expected).max() < 0.05


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


def test_a_record_is_in_the_policys_order_and_says_nothing_where_nothing_happens():
    augment, kinds = Augment("a", SIZE), set()
    for seed in range(200):
        record = augment.draw(np.random.default_rng(seed))
        stages = [operation.stage for operation in record]
        assert stages == sorted(set(stages))
        kinds |= {(operation.stage, operation.kind) for operation in record}
        image, mask = augment(*sample(), np.random.default_rng(seed))
        unchanged = np.array_equal(image, sample()[0]) and np.array_equal(mask, sample()[1])
        assert unchanged or record
    assert kinds == {(0, "warp"), (1, "hflip"), (1, "vflip"), (2, "table"), (3, "noise"), (3, "blur")}
    assert Augment("none", SIZE).draw(np.random.default_rng(0)) == []


def test_draw_survives_being_sent_to_a_worker():
    sent = pickle.loads(pickle.dumps(Augment("a", SIZE)))
    for seed in range(20):
        here, there = (a.draw(np.random.default_rng(seed)) for a in (Augment("a", SIZE), sent))
        assert [o.kind for o in here] == [o.kind for o in there]
        assert all(np.array_equal(o.value, other.value) for o, other in zip(here, there, strict=True))


@pytest.mark.parametrize(
    ("transform", "told"),
    [
        (A.ElasticTransform(p=1), "ElasticTransform"),
        (A.OneOf([A.HorizontalFlip(p=1), A.HueSaturationValue(p=1)]), "HueSaturationValue"),
        (A.Sequential([A.HorizontalFlip(p=1)]), "Sequential"),
        (A.Rotate(border_mode=cv2.BORDER_REFLECT_101), "Rotate.*border_mode"),
        (A.Rotate(fill=7.0), "Rotate.*fill"),
        (A.Rotate(crop_border=True), "Rotate.*crop_border"),
        (A.RandomResizedCrop((SIZE, SIZE), interpolation=cv2.INTER_CUBIC), "RandomResizedCrop.*interpolation"),
        (A.RandomBrightnessContrast(brightness_by_max=False), "RandomBrightnessContrast.*brightness_by_max"),
    ],
)
def test_what_batches_cannot_do_is_refused_at_once(monkeypatch, transform, told):
    monkeypatch.setitem(POLICIES, "new", lambda size: [transform])
    with pytest.raises(NotImplementedError, match=told):
        Augment("new", SIZE)
