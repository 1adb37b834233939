import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from petseg.compute import Plan
from petseg.evaluation import score as scoring
from petseg.evaluation.score import score
from petseg.runtime.errors import PetsegError

PLAN = Plan(torch.device("cpu"), "fp32", channels_last=True, compiled=False, workers=0)


class Bright(nn.Module):
    """Says pet where red is above 100: a network whose answer is known."""

    def forward(self, image):
        return (image[:, :1] - 100) / 1000  # small logits: a threshold on probabilities would miss them


class BrightOfTwo(Bright):
    """The same as two classes, background and pet, whose difference is the logit above."""

    def forward(self, image):
        pet = super().forward(image)
        return torch.cat([1 - pet / 2, 1 + pet / 2], dim=1)


def scene(n=5, size=16, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, size, size, 3), np.uint8)
    trimaps = rng.integers(1, 4, (n, size, size), np.uint8)
    return images, trimaps


@pytest.fixture
def torch_threads():
    """Sets how many threads torch has."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("device", "alone"), [("cpu", False), ("cpu", True), pytest.param("cuda", True, marks=pytest.mark.gpu)]
)
@pytest.mark.parametrize("threads", [1, 2, 9])
@pytest.mark.parametrize("batch_size", [1, 2, 5, 9])
def test_every_image_is_scored_once_and_in_order(batch_size, threads, device, alone, torch_threads, monkeypatch):
    torch_threads(threads)
    monkeypatch.setattr(scoring, "_computes_alone", lambda device: alone)
    images, trimaps = scene()
    counted, plan = [], replace(PLAN, device=torch.device(device))
    scored = score(Bright(), images, trimaps, (trimaps != 2).__getitem__, batch_size, plan, on_batch=counted.append)
    assert sum(counted) == 5
    assert np.array_equal(scored.masks, images[..., 0] > 100)
    for i in range(5):
        p, g = images[i, ..., 0] > 100, trimaps[i] != 2
        assert scored.scores["dice"][i] == pytest.approx(2 * (p & g).sum() / (p.sum() + g.sum()))
        assert scored.scores["iou"][i] == pytest.approx((p & g).sum() / (p | g).sum())
        assert scored.scores["precision"][i] == pytest.approx((p & g).sum() / p.sum())
        assert scored.scores["recall"][i] == pytest.approx((p & g).sum() / g.sum())
    assert np.array_equal(scored.scores["dice_original"], scored.scores["dice"])  # the originals are of that size here


def test_dice_at_the_original_size_enlarges_the_logits_bilinearly():
    images = np.full((1, 8, 8, 3), 50, np.uint8)
    images[:, :, 4:] = 200  # logits -0.05 and 0.1 in columns 3 and 4: 0 lies at a third of the way, 3.33
    originals = [np.zeros((24, 40), bool)]
    originals[0][:, 19:] = True
    scored = score(Bright(), images, np.full((1, 8, 8), 2, np.uint8), originals.__getitem__, 1, PLAN)
    # Pixel centres: column c of 40 lies at (c + 0.5) / 5 - 0.5 of 8, so pet from c = 19 on; nearest would say 20.
    assert scored.scores["dice_original"][0] == 1
    originals[0][12:] = False
    scored = score(Bright(), images, np.full((1, 8, 8), 2, np.uint8), originals.__getitem__, 1, PLAN)
    assert scored.scores["dice_original"][0] == pytest.approx(2 * 252 / (504 + 252))
    assert scored.scores["dice"][0] == 0


def test_any_original_size_is_scored_as_pil_enlarges_it():
    images, trimaps = scene(n=4, size=16)
    rng = np.random.default_rng(1)
    originals = [rng.random(shape) < 0.5 for shape in ((50, 33), (16, 90), (7, 40), (1, 1))]
    scored = score(Bright(), images, trimaps, originals.__getitem__, 3, PLAN)
    for i, truth in enumerate(originals[:2]):  # PIL's bilinear is the same where it enlarges
        logits = Image.fromarray((images[i, ..., 0] - np.float32(100)) / 1000)
        p = np.asarray(logits.resize(truth.shape[::-1], Image.Resampling.BILINEAR)) > 0
        dice = 2 * (p & truth).sum() / (p.sum() + truth.sum())
        assert scored.scores["dice_original"][i] == pytest.approx(dice, abs=5e-3)
    assert np.isfinite(scored.scores["dice_original"]).all()


def test_scoring_leaves_torchs_threads_as_they_are(torch_threads):
    images, trimaps = scene()
    torch_threads(2)
    score(Bright(), images, trimaps, (trimaps != 2).__getitem__, 2, PLAN)
    assert torch.get_num_threads() == 2


def test_a_cpus_threads_take_whole_batches_at_the_same_time(torch_threads):
    images, trimaps = scene()
    torch_threads(2)
    both = threading.Barrier(2, timeout=10)

    class Together(Bright):
        def forward(self, image):
            both.wait()  # breaks unless two come
            assert torch.get_num_threads() == 1
            return super().forward(image)

    scored = score(Together(), images[:4], trimaps[:4], (trimaps != 2).__getitem__, 1, PLAN)
    assert np.array_equal(scored.masks, images[:4, ..., 0] > 100)


def test_two_classes_score_as_their_pet_logit():
    images, trimaps = scene()
    originals = [np.repeat(np.repeat(trimap != 2, 3, axis=0), 2, axis=1) for trimap in trimaps]
    one, two = (
        score(network, images, trimaps, originals.__getitem__, 2, PLAN) for network in (Bright(), BrightOfTwo())
    )
    assert np.array_equal(one.masks, two.masks)
    for name, values in one.scores.items():
        assert values == pytest.approx(two.scores[name], abs=2e-3), name


def test_the_network_is_used_in_eval_mode():
    images, trimaps = scene()
    network = nn.Sequential(nn.BatchNorm2d(3), Bright()).train()
    one, all_at_once = (
        score(network.train(), images, trimaps, (trimaps != 2).__getitem__, b, PLAN).masks for b in (1, 5)
    )
    assert np.array_equal(one, all_at_once)
    assert network[0].num_batches_tracked == 0


@pytest.mark.parametrize("network", [Bright(), BrightOfTwo()])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_refused_and_not_counted_as_background(monkeypatch, network, value):
    images, trimaps = scene()
    bad = torch.full((), value)
    answer = Bright.forward  # red 255 is found in image 3 alone

    def broken(self, image):
        return torch.where(image[:, :1] == 255, bad, answer(self, image))

    monkeypatch.setattr(Bright, "forward", broken)
    images[..., 0] = images[..., 0].clip(max=254)
    images[3, 2, 5, 0] = 255
    with pytest.raises(PetsegError, match=r"^A logit of image 3 .* is NaN or infinite"):
        score(network, images, trimaps, trimaps.__getitem__, 2, PLAN)
