"""What each policy does, how often and how much, as the reports state it."""

import math
from typing import get_args

import numpy as np
import pytest
import torch
from torchvision.transforms import ElasticTransform

from petseg.batches.augment import Augment
from petseg.batches.policies import POLICIES
from petseg.config.training import TrainParams

CHANGING = [policy for policy in POLICIES if policy != "none"]
JITTER = {"table", "contrast", "saturation"}

# How often each entry of a policy's list fires.
SHARES = {
    "a": [0.5, 0.5, 0.3, 0.2],
    "b": [0.5, 0.5, 0.5, 0.5],
    "c": [0.5, 1, 1, 1, 1],
    "d_elastic": [0.2],
    "d_elastic_or_crop": [0.2],
    "petseg": [0.5, 0.5, 1, 0.5],
    "none": [],
}


def records(policy, count, size=64):
    augment = Augment(policy, size)
    return [augment.draw(np.random.default_rng([seed, 1])) for seed in range(count)]


def values(policy, entry, kind, count=300, size=64):
    """What one entry of a policy drew, wherever it fired."""
    return [o.value for record in records(policy, count, size) for o in record if (o.stage[0], o.kind) == (entry, kind)]


def test_params_offer_the_policies():
    assert set(get_args(TrainParams.model_fields["augment"].annotation)) == set(POLICIES)


@pytest.mark.parametrize("policy", CHANGING)
def test_each_transform_fires_as_often_as_stated_whatever_the_others_do(policy):
    """4.5 standard deviations of 1,000 draws. Compose(seed=...) of albumentations 2.0.8 fires them all or none."""
    count, stated = 1000, np.array(SHARES[policy])
    fired = np.zeros((count, len(stated)))
    for row, record in zip(fired, records(policy, count), strict=True):
        row[[operation.stage[0] for operation in record]] = 1
    assert (np.abs(fired.mean(axis=0) - stated) <= 4.5 * np.sqrt(stated * (1 - stated) / count)).all()
    together, apart = fired.T @ fired / count, np.outer(stated, stated)
    allowed = 4.5 * np.sqrt(apart * (1 - apart) / count)
    off_diagonal = ~np.eye(len(stated), dtype=bool)
    assert (np.abs(together - apart)[off_diagonal] <= allowed[off_diagonal]).all()


def test_b_turns_by_15_degrees_and_c_by_20():
    for policy, entry, limit in (("b", 3, 15), ("c", 1, 20)):
        angles = [math.degrees(math.atan2(value[0, 1], value[0, 0])) for value in values(policy, entry, "warp")]
        assert limit - 2 < max(angles) <= limit + 1e-3
        assert -limit - 1e-3 <= min(angles) < 2 - limit


@pytest.mark.parametrize("policy", ["b", "c"])
def test_colour_jitter_draws_20_percent_in_any_order(policy):
    for kind in ("contrast", "saturation"):
        factors = [float(value) for value in values(policy, 2, kind)]
        assert 0.8 <= min(factors) < 0.81
        assert 1.19 < max(factors) <= 1.2
    brightness = [value[100] for value in values(policy, 2, "table")]
    assert (min(brightness), max(brightness)) == pytest.approx((80, 119), abs=1)
    hues = [float(value) for value in values(policy, 2, "hue")]
    assert (min(hues), max(hues)) == pytest.approx((-90, 90), abs=3) if policy == "b" else hues == []
    orders = {tuple(o.kind for o in record if o.stage[0] == 2) for record in records(policy, 600)} - {()}
    assert len(orders) == (24 if policy == "b" else 6)
    assert all(set(order) == (JITTER | {"hue"} if policy == "b" else JITTER) for order in orders)


def test_crops_have_the_stated_areas_and_ratios():
    for policy, entry, least in (("c", 3, 0.8), ("d_elastic_or_crop", 0, 0.08), ("petseg", 2, 0.7)):
        crops = np.array(values(policy, entry, "warp", 600, size=256))
        width, height = (crops[:, :, 7] - crops[:, :, 6] + 1).T / 256
        assert (width * height).min() == pytest.approx(least, abs=0.05)
        assert (width * height).min() > least - 0.01
        assert (width * height).max() > 0.93
        assert 0.74 < (width / height).min() < 0.85
        assert 1.18 < (width / height).max() < 1.35


def test_c_shifts_by_whole_pixels_to_all_sides_on_its_own_in_x_and_y():
    shifts = np.array(values("c", 4, "warp", size=200))
    assert np.allclose(shifts[:, :, :2], np.eye(2), atol=1e-6)
    moved = shifts[:, :, 2]
    assert np.allclose(moved, np.rint(moved), atol=1e-4)
    assert np.rint(moved.max(axis=0)).tolist() == [19, 19]  # less than 10 % of 200, cut to whole pixels
    assert np.rint(moved.min(axis=0)).tolist() == [-19, -19]
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.2


def test_the_elastic_field_is_torchvisions_of_alpha_30():
    """How far and how smoothly places move, away from the edge, where the two libraries mirror differently."""
    size, inner = 256, slice(40, 216)
    places = np.stack(np.meshgrid(np.arange(size), np.arange(size)))
    fields = np.stack(values("d_elastic", 0, "field", 60, size)) - places
    torch.manual_seed(0)
    theirs = [ElasticTransform.get_params([30.0, 30.0], [5.0, 5.0], [size, size])[0] for _ in range(10)]
    theirs = torch.stack(theirs).permute(0, 3, 1, 2).numpy() * size / 2  # from -1 ... 1 to pixels
    for ours, other in ((fields, theirs), (np.diff(fields), np.diff(theirs))):
        assert ours[..., inner, inner].std() == pytest.approx(other[..., inner, inner].std(), rel=0.05)
