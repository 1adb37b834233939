"""The network that comes with the package."""

import subprocess
import sys
import tarfile

import numpy as np
import pytest
from PIL import Image

import petseg
from petseg.data import layout
from petseg.data.images import read_pair
from petseg.data.packed import foreground
from petseg.data.sources.synthetic import draw
from petseg.inference.choose import BOXED, best_weights
from petseg.models import weights
from support.paths import real_data


@pytest.fixture(scope="module")
def network():
    return petseg.load(device="cpu")


def dice(network, image, trimap):
    mask, truth = np.asarray(network.predict(image).mask) > 0, foreground(trimap)
    return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())


def test_it_is_small():
    state, record = weights.read(BOXED)
    assert BOXED.stat().st_size < 2e6
    assert sum(tensor.numel() for tensor in state.values()) < 1e6
    assert all(str(tensor.dtype) == "torch.float16" for tensor in state.values() if tensor.is_floating_point())
    assert record.training["image_size"] == 128


def test_its_card_has_its_facts():
    card, (_, record) = BOXED.with_name("MODEL_CARD.md").read_text(encoding="utf-8"), weights.read(BOXED)
    assert record.data_sha256 in card
    assert record.commit in card
    assert "1,336 to train, 149 to choose the epoch, 1,328 to test" in card
    assert f"{record.training['epochs']} epochs, seed {record.training['seed']}, from random weights" in card


def test_it_finds_pets_that_it_has_never_seen_the_like_of(network):
    drawings = [draw(index, 2012) for index in range(12)]
    scores = [dice(network, drawing.image, drawing.trimap) for drawing in drawings]
    assert np.mean(scores) > 0.9


def test_its_dice_on_the_real_test_split(network, tmp_path):
    folder = real_data("oxford-pets-part")
    for name in ("annotations", "images"):
        with tarfile.open(folder / f"{name}.tar.gz") as archive:
            archive.extractall(tmp_path, filter="data")
    _, test = layout.read_lists(tmp_path)
    pairs = [(layout.image_path(tmp_path, e.name), layout.trimap_path(tmp_path, e.name)) for e in test[::8]]
    scores = [dice(network, *read_pair(*paths)) for paths in pairs]
    assert len(scores) == 166
    assert np.mean(scores) == pytest.approx(0.9058, abs=0.002)  # every eighth; MODEL_CARD.md has all


def test_it_is_used_where_nothing_was_trained_and_says_so(tmp_path):
    Image.fromarray(draw(3, 2012).image).save(tmp_path / "photo.jpg")
    done = subprocess.run(
        [sys.executable, "-m", "petseg", "predict", "photo.jpg"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Network: the UNet that comes with petseg" in done.stdout
    assert (tmp_path / "predictions/photo_cutout.png").is_file()
    assert best_weights(tmp_path)[0] == BOXED
