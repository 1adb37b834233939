import numpy as np
import pytest

from petseg.data.augment import POLICIES, Augment

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
