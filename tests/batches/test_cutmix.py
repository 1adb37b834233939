import numpy as np
import pytest
import torch

from petseg.batches import cutmix
from petseg.batches.augment import Augment
from petseg.batches.train import Samples


def drawn(probability, times=4000, samples=5, size=32):
    rng = np.random.default_rng(1)
    return [cutmix.draw(probability, samples, size, rng) for _ in range(times)]


def test_so_many_samples_are_mixed():
    for probability in (0.3, 1.0):
        share = np.mean([patch is not None for patch in drawn(probability)])
        assert share == pytest.approx(probability, abs=0.03)


def test_without_a_chance_nothing_is_drawn():
    rng, untouched = np.random.default_rng(1), np.random.default_rng(1)
    assert cutmix.draw(0.0, 5, 32, rng) is None
    assert rng.random() == untouched.random()


def test_patches_lie_in_the_image_and_their_area_is_uniform():
    patches = drawn(1.0)
    assert np.bincount([patch.partner for patch in patches], minlength=5).min() > 700
    for first in ("top", "left"):
        assert min(getattr(patch, first) for patch in patches) == 0
        assert max(getattr(patch, first) + patch.side for patch in patches) == 32
    areas = np.array([patch.side**2 for patch in patches]) / 32**2
    for share in (0.25, 0.5, 0.75):  # sides are rounded down
        assert (areas < share).mean() == pytest.approx(share, abs=0.05)


def test_a_sample_is_two_images_and_their_masks():
    images = np.repeat(np.arange(4, dtype=np.uint8), 16 * 16 * 3).reshape(4, 16, 16, 3)
    trimaps = np.repeat(np.array([1, 2, 1, 2], np.uint8), 16 * 16).reshape(4, 16, 16)
    mixed, masks = Samples(images, trimaps, Augment("none", 16), 3, mixing=1.0)[[(e, 2) for e in range(40)]]
    partners = set()
    for image, mask in zip(mixed[..., 0], masks, strict=True):
        others = set(image.unique().tolist()) - {2}
        assert len(others) <= 1
        partners |= others
        assert torch.equal(mask, image % 2 == 0)  # of images 0 and 2 all is pet
        rows, columns = (image != 2).any(1), (image != 2).any(0)
        assert (image != 2).sum() == rows.sum() * columns.sum() == rows.sum() ** 2
    assert partners == {0, 1, 3}


def test_the_partner_is_augmented_by_itself():
    images = np.arange(2 * 16 * 16 * 3, dtype=np.uint32).astype(np.uint8).reshape(2, 16, 16, 3)
    trimaps = np.ones((2, 16, 16), np.uint8)
    keys = [(e, 0) for e in range(200)]
    augment = Augment("petseg", 16)
    plain, mixed = (Samples(images, trimaps, augment, 3, mixing)[keys][0] for mixing in (0.0, 1.0))
    patched = (plain != mixed).any(-1).flatten(1).any(1)
    assert patched.float().mean() > 0.9  # also where it is its own partner: half of them, turned or cut differently
    assert all((p == m).all(-1).any() for p, m in zip(plain[patched][:20], mixed[patched][:20], strict=True))


def test_a_batch_is_patched_as_its_samples_are():
    rng = np.random.default_rng(0)
    patches = [cutmix.draw(1.0, 9, 12, rng) for _ in range(6)] + [cutmix.Patch(0, 3, 3, 0), cutmix.Patch(0, 0, 0, 12)]
    places = [4, 0, 9, 2, 7, 8, 1, 5]
    images = torch.randint(0, 256, (10 + len(patches), 3, 12, 12), dtype=torch.uint8)
    masks = torch.randint(0, 2, (10 + len(patches), 1, 12, 12), dtype=torch.uint8)
    expected = images[:10].clone(), masks[:10].clone()
    for number, (place, patch) in enumerate(zip(places, patches, strict=True), start=10):
        for whole, all_of_them in zip(expected, (images, masks), strict=True):
            whole[place][:, *patch.window] = all_of_them[number][:, *patch.window]
    sides = torch.tensor([patch[1:] for patch in patches])
    done = cutmix.apply(images, masks, torch.tensor(places), sides)
    assert all(torch.equal(*pair) for pair in zip(done, expected, strict=True))


def test_a_batch_without_patches_is_left_alone():
    images, masks = torch.rand(3, 3, 8, 8), torch.rand(3, 1, 8, 8)
    none = torch.zeros(0, dtype=torch.int64)
    done = cutmix.apply(images.clone(), masks.clone(), none, none.view(0, 3))
    assert torch.equal(done[0], images)
    assert torch.equal(done[1], masks)
