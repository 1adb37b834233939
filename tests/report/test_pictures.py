"""Which images are shown, and in which colours their errors."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from petseg.report.inputs import load
from petseg.report.selection import extreme_rows, sample_rows
from petseg.report.tiles import FALSE_NEGATIVE, FALSE_POSITIVE, TILE, data_uri, load_pictures, mask_tile, photo_tile


def table(**columns: list) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    filler = {"name": [f"n{index:03}" for index in range(count)], "breed": "b", "species": "s"}
    return pd.DataFrame({**filler, **columns})


def test_samples_are_the_middles_of_five_parts():
    assert sample_rows(table(unet=[0.5] * 50)) == [5, 15, 25, 35, 45]


def test_samples_go_by_species_and_breed_not_by_row():
    test = table(species=["dog", "cat"] * 5, breed=["a", "z"] * 5)
    assert [test["species"][row] for row in sample_rows(test)] == ["cat", "cat", "dog", "dog", "dog"]


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_few_images_are_all_shown_once(count):
    assert sample_rows(table(unet=[0.5] * count)) == list(range(count))


def test_extremes_are_ranked_by_the_networks_own_dice():
    test = table(unet=[0.3, 0.9, 0.1, 0.5, 0.7], resnet34_unet=[0.9, 0.1, 0.5, 0.4, 0.6])
    assert extreme_rows(test, "unet") == {"best": 1, "median": 3, "worst": 2}
    assert extreme_rows(test, "resnet34_unet") == {"best": 0, "median": 2, "worst": 1}


def test_equal_scores_are_ranked_by_name():
    test = table(name=["c", "a", "b"], unet=[1.0, 1.0, 1.0])
    assert extreme_rows(test, "unet") == {"best": 1, "median": 2, "worst": 0}


def test_error_colours_are_not_swapped():
    image = np.full((4, 4, 3), 200, dtype=np.uint8)
    image[..., 2] = 20
    truth, mask = np.zeros((4, 4), dtype=bool), np.zeros((4, 4), dtype=bool)
    truth[0, :2] = True  # hit, then missed
    mask[0, 0] = mask[3, 3] = True
    step = TILE // 4
    tile = mask_tile(image, truth, mask)[step // 2 :: step, step // 2 :: step].astype(int)
    assert np.abs(tile[0, 0] - image[0, 0]).max() <= 1  # hit: as in the image
    assert np.abs(tile[0, 1] - FALSE_NEGATIVE).max() < 60
    assert np.abs(tile[3, 3] - FALSE_POSITIVE).max() < 60
    assert len(set(tile[2, 1].tolist())) == 1  # rightly left out: grey


def test_the_truth_has_no_errors():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    truth = np.eye(8, dtype=bool)
    everything = mask_tile(image, np.ones_like(truth), np.ones_like(truth))
    assert np.array_equal(everything, photo_tile(image))
    tile = mask_tile(image, truth, truth)
    inside = np.kron(truth, np.ones((TILE // 8, TILE // 8))) > 0
    assert np.array_equal(tile[inside], photo_tile(image)[inside])
    assert np.ptp(tile[~inside], axis=-1).max() == 0


def test_pictures_belong_to_their_rows(project):
    root, values = project()
    pictures = load_pictures(load(values, root), [7, 2])
    truth = np.load(root / "data/packed/test/trimaps.npy") != 2
    assert sorted(pictures) == [2, 7]
    assert pictures[7].name == "great_pyrenees_7"
    assert np.array_equal(pictures[7].image, np.load(root / "data/packed/test/images.npy")[7])
    assert np.array_equal(pictures[2].truth, truth[2])
    assert np.array_equal(pictures[2].masks["unet"], np.roll(truth[2], 3, axis=1))
    assert np.array_equal(pictures[2].masks["resnet34_unet"], np.roll(truth[2], -1, axis=1))


def test_a_uri_holds_the_picture():
    tile = np.zeros((TILE, TILE, 3), dtype=np.uint8)
    tile[:, : TILE // 2] = (250, 10, 10)
    head, content = data_uri(tile).split(",", 1)
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))).astype(int)
    assert head == "data:image/jpeg;base64"
    assert np.abs(back - tile).mean() < 3
