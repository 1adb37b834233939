"""Boundary scores against their definitions, written down with loops, and against MONAI."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from petseg.evaluation import boundary


def masks(count=300):
    """Pairs of masks, random and degenerate: empty, full, single pixels, blobs, at the edges, of extreme sizes."""
    rng = np.random.default_rng(0)
    for number in range(count):
        height, width = rng.integers(1, 40, 2) if number % 10 else [(1, 30), (30, 1), (1, 1)][number // 10 % 3]
        pair = []
        for _ in range(2):
            kind, mask = rng.integers(6), np.zeros((height, width), bool)
            if kind == 1:
                mask[:] = True
            elif kind == 2:
                mask[rng.integers(height), rng.integers(width)] = True
            elif kind == 3:
                mask = rng.random((height, width)) < 0.3
            elif kind > 3:
                smooth = ndimage.gaussian_filter(rng.standard_normal((height, width)), 3)
                mask = smooth > np.median(smooth)
            pair.append(mask)
        yield pair


def outline(mask):
    """Pixels of the mask with a neighbor outside it, or outside the image."""
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.argwhere(mask & ~inside)


def band(mask, width):
    """Pixels of the mask whose square of side 2 width + 1 has a pixel outside the mask or the image."""
    padded = np.pad(mask, width)
    rows, columns = mask.shape
    squares = [padded[y : y + rows, x : x + columns] for y in range(2 * width + 1) for x in range(2 * width + 1)]
    return mask & ~np.logical_and.reduce(squares)


def reference(predicted, truth):
    diagonal = np.hypot(*truth.shape)
    if not predicted.any() and not truth.any():
        return 1, 1, 0, 0
    if not predicted.any() or not truth.any():
        return 0, 0, diagonal, diagonal
    inner = [band(mask, max(1, round(0.02 * diagonal))) for mask in (predicted, truth)]
    iou = (inner[0] & inner[1]).sum() / (inner[0] | inner[1]).sum()
    first, second = outline(predicted), outline(truth)
    distances = np.sqrt(((first[:, None] - second[None]) ** 2).sum(-1))
    there, back = distances.min(1), distances.min(0)
    both = np.concatenate([there, back])
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    return iou, np.mean(both <= 0.01 * diagonal), hd95, both.mean()


def test_scores_are_those_of_the_definitions():
    for predicted, truth in masks():
        assert boundary.scores(predicted, truth) == pytest.approx(reference(predicted, truth), abs=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_scores_are_those_of_monai():
    monai = pytest.importorskip("monai.metrics", reason="MONAI is not installed")
    checked = 0
    for predicted, truth in masks():
        if not (predicted.any() and truth.any()) or 1 in truth.shape:
            continue  # MONAI returns NaN or infinity for empty masks
        pair = [torch.from_numpy(mask)[None, None] for mask in (predicted, truth)]
        found = dict(zip(boundary.SCORES, boundary.scores(predicted, truth), strict=True))
        tolerance = boundary.TOLERANCE * np.hypot(*truth.shape)
        nsd = monai.compute_surface_dice(*pair, class_thresholds=[tolerance], include_background=True)
        hd95 = monai.compute_hausdorff_distance(*pair, percentile=95, include_background=True)
        assd = monai.compute_average_surface_distance(*pair, symmetric=True, include_background=True)
        expected = {"nsd": nsd.item(), "hd95": hd95.item(), "assd": assd.item()}
        assert {key: found[key] for key in expected} == pytest.approx(expected, abs=1e-6, rel=1e-6)  # in float32
        checked += 1
    assert checked > 100


def test_a_shift_of_a_square_by_three_pixels():
    truth, predicted = np.zeros((2, 300, 400), bool)  # a diagonal of 500: a band of 10, a tolerance of 5
    truth[100:200, 100:200], predicted[100:200, 103:203] = True, True
    boundary_iou, nsd, hd95, assd = boundary.scores(predicted, truth)
    assert (nsd, hd95) == (1, 3)
    assert 0 < assd < 3
    band = 100 * 100 - 80 * 80
    overlap = 2 * 10 * 97 + 2 * 7 * 80  # rows along both long edges, columns at the left and the right
    assert boundary_iou == pytest.approx(overlap / (2 * band - overlap))


def test_squared_distances_are_exact_in_large_images():
    truth, predicted = np.zeros((2, 1000, 1400), bool)
    truth[3, 5] = predicted[997, 1390] = True
    assert boundary.scores(predicted, truth)[2] == pytest.approx(np.hypot(994, 1385), abs=1e-9)
