import numpy as np
import pytest

from petseg.batches import cutmix
from petseg.batches.train import TrainDataset


def patches(probability, times=4000, samples=5, size=32):
    rng = np.random.default_rng(1)
    return [cutmix.sample_patch(probability, samples, size, rng) for _ in range(times)]


@pytest.mark.parametrize("probability", [0.3, 1.0])
def test_the_given_share_of_samples_is_mixed(probability):
    assert np.mean([patch is not None for patch in patches(probability)]) == pytest.approx(probability, abs=0.03)


def test_probability_0_uses_no_random_number():
    rng, untouched = np.random.default_rng(1), np.random.default_rng(1)
    assert cutmix.sample_patch(0.0, 5, 32, rng) is None
    assert rng.random() == untouched.random()


def test_patches_are_squares_inside_the_image_with_uniform_area():
    partners, windows = zip(*patches(1.0), strict=True)
    assert np.bincount(partners, minlength=5).min() > 700
    for slices in zip(*windows, strict=True):
        assert min(each.start for each in slices) == 0
        assert max(each.stop for each in slices) == 32
    assert all(rows.stop - rows.start == columns.stop - columns.start for rows, columns in windows)
    areas = np.array([rows.stop - rows.start for rows, _ in windows]) ** 2 / 32**2
    for share in (0.25, 0.5, 0.75):  # sides are rounded down
        assert (areas < share).mean() == pytest.approx(share, abs=0.05)


def test_a_mixed_sample_has_one_square_of_another_image_and_of_its_mask():
    images = np.repeat(np.arange(4, dtype=np.uint8), 16 * 16 * 3).reshape(4, 16, 16, 3)
    trimaps = np.repeat(np.array([1, 2, 1, 2], np.uint8), 16 * 16).reshape(4, 16, 16)
    dataset, partners = TrainDataset(images, trimaps, "none", seed=3, mix=1.0), set()
    for epoch in range(40):
        image, mask = dataset[epoch, 2]
        image = image[..., 0]
        others = set(np.unique(image).tolist()) - {2}
        assert len(others) <= 1
        partners |= others
        assert np.array_equal(mask, image % 2 == 0)  # images 0 and 2 are all pet
        rows, columns = (image != 2).any(1), (image != 2).any(0)
        assert (image != 2).sum() == rows.sum() * columns.sum() == rows.sum() ** 2
    assert partners == {0, 1, 3}
    assert np.array_equal(dataset.images, images)  # samples are copies


def test_the_partner_is_augmented_independently():
    images = np.arange(2 * 16 * 16 * 3, dtype=np.uint32).astype(np.uint8).reshape(2, 16, 16, 3)
    trimaps = np.ones((2, 16, 16), np.uint8)
    keys = [(epoch, 0) for epoch in range(200)]
    plain, mixed = (TrainDataset(images, trimaps, "petseg", 3, mix).__getitems__(keys)[0] for mix in (0.0, 1.0))
    patched = (plain != mixed).any(-1).flatten(1).any(1)
    assert patched.float().mean() > 0.9  # half of the partners are the sample itself, rotated or cropped differently
    assert all((p == m).all(-1).any() for p, m in zip(plain[patched][:20], mixed[patched][:20], strict=True))
