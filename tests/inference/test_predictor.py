"""Trained networks applied to photographs."""

import doctest
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import petseg
from petseg import models
from petseg.config import params
from petseg.inference.photo import Photo
from petseg.inference.predictor import BATCH, enlarge
from petseg.models import weights
from petseg.runtime.errors import DataError, PetsegError
from support import trainings
from support.paths import COMMITTED
from support.reported import settle

SETTINGS = {
    "unet": ["unet.width=4"],
    "resnet34_unet": ["resnet34_unet.width=16", "image_size=128"],  # 16 channels: channels last
    "two_classes": ["unet.width=4", "unet.classes=2", "resnet34_unet.classes=2", "loss.bce=0", "loss.cross_entropy=1"],
    "bf16": ["unet.width=4", "train.precision=bf16"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights files with nothing beside them."""
    folder = tmp_path_factory.mktemp("weights")
    for seed, (name, overrides) in enumerate(SETTINGS.items()):
        p = params.load(COMMITTED, overrides=overrides)
        key = name if name == "resnet34_unet" else "unet"
        torch.manual_seed(seed)
        network = models.build(key, p)
        settle(network, 255 * torch.rand(4, 3, p.image_size, p.image_size))
        record = trainings.record(p.training(key), temperature=0.1 + seed)
        weights.save(folder / f"{name}.safetensors", network.state_dict(), record)
    return folder


def picture(width=90, height=70, seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def probability(path, image, flips=False):
    """Computes the probabilities of an image again, with little code."""
    network, record = weights.load(path)
    square = image.resize((record.image_size,) * 2, Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        logits = network(pixels)
        if flips:
            logits = (logits + network(pixels.flip(-1)).flip(-1)) / 2
    if record.architecture["classes"] == 2:
        logits = logits[:, 1:] - logits[:, :1]
    small = torch.sigmoid(logits / record.temperature)
    return F.interpolate(small, (image.height, image.width), mode="bilinear", align_corners=False)[0, 0].numpy()


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("name", ["unet", "resnet34_unet", "two_classes"])
def test_probabilities_are_calibrated_and_enlarged(folder, monkeypatch, tmp_path, name, flips):
    monkeypatch.chdir(tmp_path)  # neither params.yaml nor data
    path = folder / f"{name}.safetensors"
    found = petseg.load(path, device="cpu").predict(picture(), flips=flips).probability
    assert found.dtype == np.float32
    assert np.ptp(found) > 0.1
    np.testing.assert_allclose(found, probability(path, picture(), flips), atol=2e-5)


def test_several_networks_are_averaged_whatever_their_size(folder):
    paths = [folder / "unet.safetensors", folder / "resnet34_unet.safetensors"]
    found = petseg.load(*paths, device="cpu").predict(picture()).probability
    np.testing.assert_allclose(found, sum(probability(path, picture()) for path in paths) / 2, atol=2e-5)


def test_bf16_is_used_where_the_hardware_has_it(folder, monkeypatch):
    path = folder / "bf16.safetensors"
    exact = probability(path, picture())
    for has_bf16 in (False, True):
        monkeypatch.setattr("petseg.inference.predictor.has_bf16", lambda device, has_bf16=has_bf16: has_bf16)
        difference = np.abs(petseg.load(path, device="cpu").predict(picture()).probability - exact).max()
        assert (difference > 1e-4) == has_bf16
        assert difference < 0.1


def test_photographs_of_every_kind_and_size_in_batches(folder, tmp_path):
    model = petseg.load(folder / "unet.safetensors", device="cpu")
    pictures = [picture(60 + 7 * i, 130 - 5 * i, seed=i) for i in range(BATCH + 2)]
    pictures[0].save(tmp_path / "a b.png")
    sources = [tmp_path / "a b.png", str(tmp_path / "a b.png"), np.asarray(pictures[2]), *pictures[3:]]
    predictions = model.predict(sources)
    assert len(predictions) == len(sources)
    for source, prediction in zip(sources, predictions, strict=True):
        size = Photo(source).size
        np.testing.assert_allclose(prediction.probability, model.predict(source).probability, atol=1e-5)
        assert prediction.probability.shape == size[::-1]
        assert prediction.mask.size == prediction.overlay.size == prediction.cutout.size == size
        assert (prediction.mask.mode, prediction.overlay.mode, prediction.cutout.mode) == ("L", "RGB", "RGBA")
    assert model.predict([]) == []


def test_the_threshold_decides_the_mask(folder):
    model = petseg.load(folder / "unet.safetensors", device="cpu")
    masks = {threshold: model.predict(picture(), threshold=threshold) for threshold in (0.3, 0.5, 0.9)}
    for threshold, prediction in masks.items():
        expected = np.where(prediction.probability > threshold, 255, 0)
        assert 0 < (expected > 0).mean() < 1
        assert np.array_equal(np.asarray(prediction.mask), expected)
        opaque = np.asarray(prediction.cutout.getchannel("A")) >= 128
        assert (opaque == (expected > 0)).mean() > 0.999


def test_enlarging_keeps_the_mean_and_the_corners():
    small = np.random.default_rng(0).random((4, 4), np.float32)
    large = enlarge(small, 400, 800)
    assert large.mean() == pytest.approx(small.mean(), abs=1e-5)
    assert large[0, 0] == small[0, 0]
    assert large[-1, -1] == small[-1, -1]


def test_the_example_in_the_docstring_works(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").symlink_to(folder)
    picture().save("photo.jpg")
    [test] = doctest.DocTestFinder(recurse=False).find(petseg.load, globs={})
    assert len(test.examples) == 3
    assert doctest.DocTestRunner().run(test).failed == 0
    with Image.open("cutout.png") as cutout:
        assert (cutout.mode, cutout.size) == ("RGBA", picture().size)


def test_errors_are_sentences(folder, tmp_path):
    with pytest.raises(PetsegError, match="device is 'cuda:9', but this machine has cpu"):
        petseg.load(folder / "unet.safetensors", device="cuda:9")
    with pytest.raises(DataError, match=r"missing\.jpg does not exist"):
        petseg.load(folder / "unet.safetensors", device="cpu").predict([picture(), tmp_path / "missing.jpg"])


def test_a_broken_network_is_noticed(folder, tmp_path):
    state, record = weights.read(folder / "unet.safetensors")
    state["head.bias"] += float("nan")
    weights.save(tmp_path / "broken", state, replace(record, temperature=1.0))
    with pytest.raises(PetsegError, match="The output of UNet is NaN"):
        petseg.load(tmp_path / "broken", device="cpu").predict(picture())


@pytest.mark.gpu
def test_a_gpu_and_the_cpu_agree(folder):
    for name in ("unet", "resnet34_unet"):
        found = [
            petseg.load(folder / f"{name}.safetensors", device=device).predict(picture()).probability
            for device in ("cpu", "cuda")
        ]
        np.testing.assert_allclose(*found, atol=5e-3)
