"""Which images are shown, and in which colors their errors."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageColor

from petseg.report import pictures
from petseg.report.inputs import load
from petseg.report.selection import extreme_rows, sample_rows
from petseg.report.theme import LIGHT
from petseg.report.tiles import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    TILE,
    data_uri,
    load_pictures,
    mask_tile,
    photo_tile,
    tile,
)


def table(**columns: list) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    filler = {"name": [f"n{index:03}" for index in range(count)], "breed": "b", "species": "s"}
    return pd.DataFrame({**filler, **columns})


def test_samples_are_the_middle_images_of_five_parts():
    assert sample_rows(table(unet=[0.5] * 50)) == [5, 15, 25, 35, 45]
    mixed = table(species=["dog", "cat"] * 5, breed=["a", "z"] * 5)
    assert [mixed["species"][row] for row in sample_rows(mixed)] == ["cat", "cat", "dog", "dog", "dog"]


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_few_images_are_all_shown_once(count):
    assert sample_rows(table(unet=[0.5] * count)) == list(range(count))


def test_extremes_are_ranked_by_the_dice_of_the_network_then_by_name():
    test = table(unet=[0.3, 0.9, 0.1, 0.5, 0.7], resnet34_unet=[0.9, 0.1, 0.5, 0.4, 0.6])
    assert extreme_rows(test, "unet") == {"best": 1, "median": 3, "worst": 2}
    assert extreme_rows(test, "resnet34_unet") == {"best": 0, "median": 2, "worst": 1}
    assert extreme_rows(table(name=["c", "a", "b"], unet=[1.0] * 3), "unet") == {"best": 1, "median": 2, "worst": 0}


def test_errors_have_their_colors():
    image = np.full((4, 4, 3), 200, dtype=np.uint8)
    image[..., 2] = 20
    truth, mask = np.zeros((4, 4), dtype=bool), np.zeros((4, 4), dtype=bool)
    truth[0, :2] = True
    mask[0, 0] = mask[3, 3] = True
    step = TILE // 4
    tile = mask_tile(image, truth, mask)[step // 2 :: step, step // 2 :: step].astype(int)
    assert np.abs(tile[0, 0] - image[0, 0]).max() <= 1  # true positive: as in the image
    assert np.abs(tile[0, 1] - ImageColor.getrgb(FALSE_NEGATIVE)).max() < 60
    assert np.abs(tile[3, 3] - ImageColor.getrgb(FALSE_POSITIVE)).max() < 60
    assert len(set(tile[2, 1].tolist())) == 1  # true negative: gray


def test_the_ground_truth_has_no_errors():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    truth = np.eye(8, dtype=bool)
    tile = mask_tile(image, truth, truth)
    inside = np.kron(truth, np.ones((TILE // 8, TILE // 8))) > 0
    assert np.array_equal(tile[inside], photo_tile(image)[inside])
    assert np.ptp(tile[~inside], axis=-1).max() == 0


def test_pictures_belong_to_their_rows(project):
    root, values = project()
    inputs = load(values, root)
    loaded = load_pictures(inputs, [7, 2, 7])
    truth = np.load(root / "data/packed/test/trimaps.npy") != 2
    assert sorted(loaded) == [2, 7]
    assert loaded[7].name == "great_pyrenees_7"
    assert np.array_equal(loaded[7].image, np.load(root / "data/packed/test/images.npy")[7])
    assert np.array_equal(loaded[2].truth, truth[2])
    for name, shift in (("unet", 3), ("resnet34_unet", -1)):
        assert np.array_equal(loaded[2].masks[name], np.roll(truth[2], shift, axis=1))
        assert loaded[2].dice[name] == inputs.test[name][2]


@pytest.mark.parametrize("networks", [1, 2, 3])
def test_figures_show_each_network_in_its_row(project, networks):
    root, values = project(networks=networks)
    inputs = load(values, root)
    loaded = load_pictures(inputs, range(5))
    labels = ["UNet", "ResNet34-UNet", "Slim & Co"][:networks]
    grid = np.reshape(pictures.samples(list(loaded.values()), LIGHT).axes, (2 + networks, 5))
    assert [axes.get_ylabel() for axes in grid[:, 0]] == ["image", "ground truth", *labels]
    for row, name in enumerate(inputs.scores, 2):
        assert [axes.get_xlabel() for axes in grid[row]] == [f"Dice {dice:.3f}" for dice in inputs.test[name][:5]]
        for axes, picture in zip(grid[row], loaded.values(), strict=True):
            assert np.array_equal(axes.images[0].get_array(), tile(picture, name))
    ranked = {name: dict(zip(("best", "median", "worst"), loaded.values(), strict=False)) for name in inputs.scores}
    grid = np.reshape(pictures.extremes(ranked, LIGHT).axes, (networks, 6))
    assert [axes.get_ylabel() for axes in grid[:, 0]] == labels
    for row, name in enumerate(ranked):
        assert [axes.get_xlabel() for axes in grid[row, 1::2]] == [f"Dice {dice:.3f}" for dice in inputs.test[name][:3]]
        for axes, picture in zip(grid[row, 1::2], loaded.values(), strict=False):
            assert np.array_equal(axes.images[0].get_array(), tile(picture, name))


def test_a_data_uri_holds_the_picture():
    tile = np.zeros((TILE, TILE, 3), dtype=np.uint8)
    tile[:, : TILE // 2] = (250, 10, 10)
    head, content = data_uri(tile).split(",", 1)
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))).astype(int)
    assert head == "data:image/jpeg;base64"
    assert np.abs(back - tile).mean() < 3
