"""Each operation of `augment_batch` against its definition, on colours and places that can be followed by hand."""

import colorsys

import numpy as np
import pytest
import torch

from petseg.batches.augment_batch import apply, collate
from petseg.batches.recording import Operation


def one(kind, value):
    return collate([[], [Operation((0, 0), kind, value)]])


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


def test_field_reads_x_then_y_for_image_and_mask():
    """On a picture that is not square: half a pixel to the right is between two, whose right one the mask takes."""
    images = torch.arange(2 * 3 * 4 * 6, dtype=torch.uint8).view(2, 3, 4, 6)
    masks = (torch.arange(2 * 4 * 6) % 2).to(torch.uint8).view(2, 1, 4, 6)
    y, x = np.mgrid[:4, :6].astype(np.float32)
    y[0], x[0] = 1, x[0] + 1.75  # the first row: from the second, 1.75 to the right
    moved, moved_masks = apply(images, masks, one("field", np.stack([x, y])))
    a = images[1, :, 1].float()
    mixed = torch.cat([a[:, 1:5] + 0.75, a[:, 5:] * 0.25, a[:, :1] * 0], dim=1)  # neighbours differ by 1
    assert torch.equal(moved[1, :, 0], mixed.round().to(torch.uint8))
    assert torch.equal(moved_masks[1, 0, 0], torch.tensor([0, 1, 0, 1, 0, 0], dtype=torch.uint8))
    assert torch.equal(moved[1, :, 1:], images[1, :, 1:])
    assert torch.equal(moved_masks[1, 0, 1:], masks[1, 0, 1:])
    assert torch.equal(moved[0], images[0])


def colours(*rgb):
    """A batch of two images with a row of these colours."""
    images = torch.tensor(rgb, dtype=torch.uint8).T[None, :, None]
    return images.repeat(2, 1, 1, 1), torch.zeros(2, 1, 1, len(rgb), dtype=torch.uint8)


def test_contrast_is_about_the_images_mean_grey_and_saturation_about_the_pixels():
    red, grey = (200, 0, 0), (100, 100, 100)
    changed, _ = apply(*colours(red, grey), one("contrast", np.array(0.5)))
    assert changed[1, :, 0].T.tolist() == [[140, 40, 40], [90, 90, 90]]  # the mean of 60, red's 0.299 * 200, and 100
    changed, _ = apply(*colours(red, grey), one("saturation", np.array(0.5, np.float32)))
    assert changed[1, :, 0].T.tolist() == [[130, 30, 30], [100, 100, 100]]
    changed, _ = apply(*colours(red, grey), one("saturation", np.array(3, np.float32)))
    assert changed[1, :, 0].T.tolist() == [[255, 0, 0], [100, 100, 100]]


@pytest.mark.parametrize("turn", [-90, -31, 0.5, 20, 60, 89.9])
def test_hue_turns_colours_by_two_degrees_a_unit(turn):
    rgb = np.random.default_rng(8).integers(0, 256, (500, 3))
    changed, _ = apply(*colours(*rgb.tolist()), one("hue", np.array(turn, np.float32)))
    hsv = [colorsys.rgb_to_hsv(*colour) for colour in rgb / 255]
    expected = 255 * np.array([colorsys.hsv_to_rgb((h + turn / 180) % 1, s, v) for h, s, v in hsv])
    errors = np.abs(changed[1, :, 0].T.numpy() - expected)
    assert errors.max() < 15  # a unit is 8.5 levels of a pure colour; found and turned hues are both rounded
    assert errors.mean() < 2.5
    assert changed[1].amax(0).tolist() == [rgb.max(axis=1).tolist()]


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
