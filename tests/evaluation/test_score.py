import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from petseg.compute import Plan
from petseg.config import params
from petseg.evaluation import boundary
from petseg.evaluation.reliability import Reliability
from petseg.evaluation.score import score
from petseg.evaluation.tables import boundary_scores, region_scores
from petseg.losses import build
from petseg.models import pet_logit
from petseg.runtime.errors import PetsegError
from support.paths import COMMITTED

PLAN = Plan(torch.device("cpu"), "fp32", channels_last=True, compiled=False, workers=0)
LOSS = build(params.load(COMMITTED, overrides=["loss.smooth=1"]).loss)


class Bright(nn.Module):
    """Predicts pet where red is above 100."""

    def forward(self, image):
        return (image[:, :1] - 100) / 1000  # small logits: a threshold of 0.5 on logits would find nothing


class BrightOfTwo(Bright):
    """The same with two classes, background and pet."""

    def forward(self, image):
        pet = super().forward(image)
        return torch.cat([1 - pet / 2, 1 + pet / 2], dim=1)


def scene(n=5, size=16, seed=0):
    """Random images (n, size, size, 3) and trimaps (n, size, size)."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, size, size, 3), np.uint8)
    trimaps = rng.integers(1, 4, (n, size, size), np.uint8)
    return images, trimaps


def scored(images, trimaps, network=None, originals=None, batch_size=2, plan=PLAN, **options):
    originals = trimaps if originals is None else originals
    return score(network or Bright(), images, trimaps, originals, batch_size, plan, LOSS, **options)


def dice(found, size="network"):
    """Dice of the only image."""
    return region_scores(found)[size, "foreground"]["dice"].item()


@pytest.fixture
def torch_threads():
    """Sets torch's number of threads."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("threads", [1, 2, 9])
@pytest.mark.parametrize("batch_size", [1, 2, 5, 9])
def test_every_image_is_scored_once_and_in_order(batch_size, threads, device, torch_threads):
    torch_threads(threads)
    images, trimaps = scene()
    counted, plan = [], replace(PLAN, device=torch.device(device))
    found = scored(images, trimaps, batch_size=batch_size, plan=plan, on_batch=counted.append)
    assert sum(counted) == 5
    assert torch.get_num_threads() == threads
    assert np.array_equal(found.masks, images[..., 0] > 100)
    scores, nsd = region_scores(found), boundary_scores(found)["nsd"]
    for i in range(5):
        p, g = images[i, ..., 0] > 100, trimaps[i] != 2
        usual = {name: values[i] for name, values in scores["network", "foreground"].items()}
        assert usual["dice"] == pytest.approx(2 * (p & g).sum() / (p.sum() + g.sum()))
        assert usual["iou"] == pytest.approx((p & g).sum() / (p | g).sum())
        assert usual["precision"] == pytest.approx((p & g).sum() / p.sum())
        assert usual["recall"] == pytest.approx((p & g).sum() / g.sum())
        assert nsd[i] == pytest.approx(boundary.scores(p, g)[1])
    assert np.array_equal(found.original_areas, found.areas)  # the originals have the same size here
    assert found.raw.pixels.sum() == trimaps.size


def test_the_temperature_divides_the_logits_and_changes_no_mask():
    images, trimaps = scene()
    raw, cold = scored(images, trimaps), scored(images, trimaps, temperature=0.01)
    assert np.array_equal(raw.masks, cold.masks)
    assert cold.raw.scores() == pytest.approx(raw.raw.scores())
    logits, truth = (images[..., 0].astype(np.float32) - 100) / 1000, trimaps != 2
    expected = Reliability.measure(logits / 0.01, truth).scores()
    assert cold.calibrated.scores() == pytest.approx(expected, rel=1e-4)


def test_predictions_are_handed_over_at_the_original_size():
    images, trimaps = scene(n=3)
    originals = [np.full((8 + i, 30), 2, np.uint8) for i in range(3)]
    found = {}
    scored(images, trimaps, originals=originals, on_prediction=lambda index, mask: found.update({index: mask}))
    assert {index: mask.shape for index, mask in found.items()} == {i: (8 + i, 30) for i in range(3)}


@pytest.mark.parametrize("network", [Bright(), BrightOfTwo()])
def test_loss_is_the_mean_over_batches_weighted_by_their_images(network):
    images, trimaps = scene()
    total = 0
    for batch in (slice(0, 2), slice(2, 4), slice(4, 5)):
        logits = pet_logit(network(torch.from_numpy(images[batch]).permute(0, 3, 1, 2).float()))
        truth = torch.from_numpy(trimaps[batch] != 2)[:, None].float()
        total += len(logits) * LOSS(logits, truth).item()
    assert scored(images, trimaps, network).loss == pytest.approx(total / 5)


def test_a_logit_of_zero_is_background():
    images, trimaps = np.full((1, 8, 8, 3), 100, np.uint8), np.full((1, 8, 8), 2, np.uint8)
    found = scored(images, trimaps)
    assert not found.masks.any()
    assert dice(found) == dice(found, "original") == 1
    assert scored(images + 1, trimaps).masks.all()


def test_dice_at_the_original_size_resizes_the_logits_bilinearly():
    images, trimaps = np.full((1, 8, 8, 3), 50, np.uint8), np.full((1, 8, 8), 2, np.uint8)
    images[:, :, 1:] = 200  # logits -0.05 and 0.1 in columns 0 and 1: 0 is at a third of the way, 0.33
    original = np.full((24, 40), 2, np.uint8)
    original[:, 4:] = 1
    # Column c of 40 is at (c + 0.5) / 5 - 0.5 of 8, so pet from c = 4 on. Nearest would give 5, aligned corners 2.
    assert dice(scored(images, trimaps, originals=[original]), "original") == 1
    original[12:] = 2
    found = scored(images, trimaps, originals=[original])
    assert dice(found, "original") == pytest.approx(2 * 432 / (864 + 432))
    assert dice(found) == 0


def test_threads_take_whole_batches_at_the_same_time(torch_threads):
    images, trimaps = scene()
    torch_threads(2)
    both = threading.Barrier(2, timeout=10)

    class Together(Bright):
        def forward(self, image):
            both.wait()  # fails unless two threads come
            assert torch.get_num_threads() == 1
            return super().forward(image)

    assert np.array_equal(scored(images[:4], trimaps[:4], Together(), batch_size=1).masks, images[:4, ..., 0] > 100)


def test_an_exception_stops_the_remaining_batches():
    images, trimaps = scene(n=50)
    started = []

    class Counting(Bright):
        def forward(self, image):
            started.append(len(image))
            return super().forward(image)

    def stop(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scored(images, trimaps, Counting(), batch_size=1, on_batch=stop)
    assert len(started) < 50


def test_the_network_is_in_eval_mode():
    network = nn.Sequential(nn.BatchNorm2d(3), Bright())
    one, all_at_once = (scored(*scene(), network.train(), batch_size=b).masks for b in (1, 5))
    assert np.array_equal(one, all_at_once)
    assert network[0].num_batches_tracked == 0


@pytest.mark.parametrize("network_class", [Bright, BrightOfTwo])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_refused(network_class, value):
    class Broken(network_class):
        def forward(self, image):
            return torch.where(image[:, :1] == 255, value, super().forward(image))

    images, trimaps = scene()
    images[..., 0] = images[..., 0].clip(max=254)
    images[3, 2, 5, 0] = 255
    with pytest.raises(PetsegError, match=r"^A logit of image 3 .* is NaN or infinite"):
        scored(images, trimaps, Broken())
