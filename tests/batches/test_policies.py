"""Augmentation policies: every argument against the reports, and the effect on images and masks."""

from typing import get_args

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms import ElasticTransform

from petseg.batches.policies import POLICIES, A
from petseg.batches.sample_rng import sample_rng
from petseg.batches.train import TrainDataset
from petseg.config.training import TrainParams

SIZE = 64

# Each list: one entry per transform, a name and what must hold; a `OneOf` is its p and its transforms, equally likely.
FLIP, VERTICAL = ("HorizontalFlip", {}), ("VerticalFlip", {})
BRIGHTNESS = ("RandomBrightnessContrast", {"brightness_limit": (-0.2, 0.2), "contrast_limit": (-0.2, 0.2)})


def rotation(degrees, interpolation=cv2.INTER_LINEAR):
    fixed = {"interpolation": interpolation, "mask_interpolation": cv2.INTER_NEAREST, "border_mode": 0, "fill": 0}
    return "Rotate", {"limit": (-degrees, degrees), "fill_mask": 0, "crop_border": False} | fixed


def crop(least, ratio):
    return "RandomResizedCrop", {"size": (SIZE, SIZE), "scale": (least, 1.0), "ratio": ratio, "interpolation": 1}


def jitter(hue):
    limits = dict.fromkeys(("brightness", "contrast", "saturation"), (0.8, 1.2))
    return "ColorJitter", limits | {"hue": hue}


ELASTIC = (
    "ElasticTransform",
    {"alpha": 15, "sigma": 5, "interpolation": cv2.INTER_CUBIC, "noise_distribution": "uniform"},
)
NOISE = ("GaussNoise", {"std_range": (0.2, 0.44), "mean_range": (0, 0), "per_channel": True})
BLUR = ("GaussianBlur", {"sigma_limit": (0.5, 3.0), "blur_limit": (0, 0)})
STATED = {
    "a": [
        (0.5, [crop(0.8, (0.75, 1.33)), rotation(30)]),
        (0.5, [FLIP, VERTICAL]),
        (0.3, [BRIGHTNESS, ("RandomGamma", {"gamma_limit": (80, 120)})]),
        (0.2, [NOISE, BLUR]),
    ],
    "b": [(0.5, FLIP), (0.5, BRIGHTNESS), (0.5, jitter((-0.5, 0.5))), (0.5, rotation(15))],
    "c": [(0.5, FLIP), (1, rotation(20, cv2.INTER_NEAREST)), (1, jitter((0, 0))), (1, crop(0.8, (3 / 4, 4 / 3)))],
    "d_elastic": [(0.2, ELASTIC)],
    "d_elastic_or_crop": [(0.2, [ELASTIC, crop(0.08, (3 / 4, 4 / 3))])],
    "petseg": [(0.5, FLIP), (0.5, rotation(15)), (1, crop(0.7, (0.75, 1.33))), (0.5, jitter((0, 0)))],
    "none": [],
}


def check(transform, name, arguments):
    assert type(transform).__name__ == name
    for key, value in arguments.items():
        assert getattr(transform, key) == pytest.approx(value), f"{name}.{key}"


@pytest.mark.parametrize("policy", POLICIES)
def test_every_argument_is_as_stated(policy):
    transforms = POLICIES[policy](SIZE)
    assert len(transforms) == len(STATED[policy])
    for transform, (p, stated) in zip(transforms, STATED[policy], strict=True):
        assert transform.p == p
        if isinstance(stated, tuple):
            check(transform, *stated)
            continue
        assert isinstance(transform, A.OneOf)
        assert transform.transforms_ps == pytest.approx([1 / len(stated)] * len(stated))
        for inner, each in zip(transform.transforms, stated, strict=True):
            check(inner, *each)


def test_params_offer_the_policies():
    assert set(get_args(TrainParams.model_fields["augment"].annotation)) == set(POLICIES)


def test_transforms_fire_independently_of_each_other():
    """With `Compose(seed=...)` or `set_random_seed` of albumentations 2.0.8 they fire all or none."""
    board = np.arange(16, dtype=np.uint8).reshape(4, 4)
    compose = A.Compose([A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5), A.Transpose(p=0.5)])
    views = []
    for index in range(800):
        compose.set_random_state(*sample_rng(1, 0, index))
        views.append(compose(image=board)["image"].tobytes())
    counts = [views.count(view) for view in set(views)]
    assert len(counts) == 8
    assert min(counts) > 60  # 100 expected, deviation 9.4


def scene():
    """An image whose pet is exactly its bright part, so that image and mask can be compared after any transform."""
    image, trimap = np.full((SIZE, SIZE, 3), 40, np.uint8), np.full((SIZE, SIZE), 2, np.uint8)
    image[10:40, 20:52], trimap[10:40, 20:52] = 220, 1
    return image, trimap


def augmented(policy, count):
    image, trimap = scene()
    dataset = TrainDataset(image[None], trimap[None], policy, seed=5)
    return [dataset[epoch, 0] for epoch in range(count)]


@pytest.mark.parametrize(
    ("policy", "agreement", "moved_share"),
    [
        ("a", 0.75, (0.4, 0.95)),  # noise hides pixels
        ("b", 0.97, (0.55, 0.95)),
        ("c", 0.97, (0.95, 1)),
        ("d_elastic", 0.97, (0.05, 0.4)),
        ("d_elastic_or_crop", 0.97, (0.05, 0.4)),
        ("petseg", 0.95, (0.95, 1)),  # rotated, then enlarged: two roundings at each edge
    ],
)
def test_image_and_mask_move_together(policy, agreement, moved_share):
    moved, before = 0, scene()[1] == 1
    for image, mask in augmented(policy, 80):
        assert (image.shape, mask.shape) == ((SIZE, SIZE, 3), (SIZE, SIZE))
        assert image.dtype == mask.dtype == np.uint8
        assert set(np.unique(mask)) <= {0, 1}
        moved += not np.array_equal(mask, before)
        if mask.min() == mask.max():  # a crop inside or beside the pet
            assert np.ptp(image) < 10
            continue
        brightness = image.astype(float).mean(axis=2)
        pet, background = brightness[mask == 1].mean(), brightness[mask == 0].mean()
        assert pet > background + 60
        assert ((brightness > (pet + background) / 2) == (mask == 1)).mean() > agreement
    assert moved_share[0] <= moved / 80 <= moved_share[1]


def test_elastic_deformation_moves_image_and_mask_by_one_field():
    """A checkerboard of 4 x 4 pixels: another field, or swapped axes, would show in every square."""
    y, x = np.mgrid[:SIZE, :SIZE] // 4
    board = ((x + y) % 2).astype(np.uint8)
    image = np.repeat(40 + 180 * board[..., None], 3, axis=2).astype(np.uint8)
    dataset, moved = TrainDataset(image[None], (2 - board)[None], "d_elastic", seed=1), 0
    for epoch in range(100):
        image, mask = dataset[epoch, 0]
        if (mask != board).mean() > 0.02:
            moved += 1
            assert ((image[..., 0] > 130) == mask).mean() > 0.98
            assert ((image[..., 0] > 130) != board).mean() > 0.02
    assert 8 <= moved <= 35


def test_the_elastic_field_is_torchvisions_with_alpha_30():
    """Standard deviation and smoothness of the displacement, away from the edges, where the libraries differ."""
    size, inner = 256, slice(40, 216)
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)))
    transform, fields = POLICIES["d_elastic"](size)[0], []
    for index in range(12):
        transform.set_random_state(*sample_rng(0, 0, index))
        maps = transform.get_params_dependent_on_data({"shape": (size, size)}, {})
        fields.append(np.stack([maps["map_x"], maps["map_y"]]) - grid)
    torch.manual_seed(0)
    theirs = [ElasticTransform.get_params([30.0, 30.0], [5.0, 5.0], [size, size])[0] for _ in range(12)]
    theirs = torch.stack(theirs).permute(0, 3, 1, 2).numpy() * size / 2  # from [-1, 1] to pixels
    for ours, other in ((np.stack(fields), theirs), (np.diff(np.stack(fields)), np.diff(theirs))):
        assert ours[..., inner, inner].std() == pytest.approx(other[..., inner, inner].std(), rel=0.05)
