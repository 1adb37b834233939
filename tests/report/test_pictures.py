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
from petseg.report.tiles import FALSE_NEGATIVE, FALSE_POSITIVE, TILE, Picture, data_uri, load_picture, tile


def table(**columns: list) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    filler = {"name": [f"n{index:03}" for index in range(count)], "breed": "b", "species": "s"}
    return pd.DataFrame({**filler, **columns})


def test_samples_are_the_middle_images_of_five_parts():
    assert sample_rows(table(unet=[0.5] * 50)) == [5, 15, 25, 35, 45]
    mixed = table(species=["dog", "cat"] * 5, breed=["a", "z"] * 5)
    assert [mixed["species"][row] for row in sample_rows(mixed)] == ["cat", "cat", "dog", "dog", "dog"]
    for count in (1, 2, 4, 5):
        assert sample_rows(table(unet=[0.5] * count)) == list(range(count))


def test_extremes_are_ranked_by_the_dice_of_the_network_then_by_name():
    test = table(unet=[0.3, 0.9, 0.1, 0.5, 0.7], resnet34_unet=[0.9, 0.1, 0.5, 0.4, 0.6])
    assert extreme_rows(test, "unet") == {"best": 1, "median": 3, "worst": 2}
    assert extreme_rows(test, "resnet34_unet") == {"best": 0, "median": 2, "worst": 1}
    assert extreme_rows(table(name=["c", "a", "b"], unet=[1.0] * 3), "unet") == {"best": 1, "median": 2, "worst": 0}


def test_errors_have_their_colors():
    image = np.full((4, 4, 3), 200, dtype=np.uint8)
    image[..., 2] = 20
    truth, mask = np.zeros((2, 4, 4), dtype=bool)
    truth[0, :2] = True
    mask[0, 0] = mask[3, 3] = True
    picture = Picture("name", "breed", image, truth, {"resnet34_unet": truth, "unet": mask}, {})
    step = TILE // 4
    shown, true = (tile(picture, what)[step // 2 :: step, step // 2 :: step].astype(int) for what in ("unet", "truth"))
    assert np.abs(shown[0, 0] - image[0, 0]).max() <= 1  # true positive: as in the image
    assert np.abs(shown[0, 1] - ImageColor.getrgb(FALSE_NEGATIVE)).max() < 60
    assert np.abs(shown[3, 3] - ImageColor.getrgb(FALSE_POSITIVE)).max() < 60
    assert np.ptp(shown[2, 1]) == 0  # true negative: gray
    assert np.abs(true[truth] - image[0, 0]).max() <= 1  # the ground truth has no errors
    assert np.ptp(true[~truth], axis=-1).max() == 0


def test_a_picture_belongs_to_its_row(project):
    root, values = project()
    inputs = load(values, root)
    picture, truth = load_picture(inputs, 7), np.load(root / "data/packed/test/trimaps.npy")[7] != 2
    assert (picture.name, picture.breed) == ("great_pyrenees_7", "great_pyrenees")
    assert np.array_equal(picture.image, np.load(root / "data/packed/test/images.npy")[7])
    assert np.array_equal(picture.truth, truth)
    for place, name in enumerate(("unet", "resnet34_unet")):
        assert np.array_equal(picture.masks[name], np.roll(truth, 1 + place, axis=1))
        assert picture.dice[name] == pd.read_csv(root / "plots/test/scores.csv")[name][7]


@pytest.mark.parametrize("networks", [1, 2, 3])
def test_figures_show_each_network_in_its_row(project, networks):
    root, values = project(networks=networks)
    inputs = load(values, root)
    loaded = [load_picture(inputs, row) for row in range(5)]
    labels = ["UNet", "ResNet34-UNet", "Slim & Co"][:networks]
    grid = np.reshape(pictures.samples(loaded, LIGHT).axes, (2 + networks, 5))
    assert [axes.get_ylabel() for axes in grid[:, 0]] == ["image", "ground truth", *labels]
    for row, name in enumerate(inputs.scores, 2):
        assert [axes.get_xlabel() for axes in grid[row]] == [f"Dice {dice:.3f}" for dice in inputs.test[name][:5]]
        for axes, picture in zip(grid[row], loaded, strict=True):
            assert np.array_equal(axes.images[0].get_array(), tile(picture, name))
    ranked = {name: dict(zip(("best", "median", "worst"), loaded, strict=False)) for name in inputs.scores}
    grid = np.reshape(pictures.extremes(ranked, LIGHT).axes, (networks, 6))
    assert [axes.get_ylabel() for axes in grid[:, 0]] == labels
    for row, name in enumerate(ranked):
        assert [axes.get_xlabel() for axes in grid[row, 1::2]] == [f"Dice {dice:.3f}" for dice in inputs.test[name][:3]]
        for axes, picture in zip(grid[row, 1::2], loaded, strict=False):
            assert np.array_equal(axes.images[0].get_array(), tile(picture, name))


def test_a_data_uri_holds_the_picture():
    pixels = np.zeros((TILE, TILE, 3), dtype=np.uint8)
    pixels[:, : TILE // 2] = (250, 10, 10)
    content = data_uri(pixels).removeprefix("data:image/jpeg;base64,")
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))).astype(int)
    assert np.abs(back - pixels).mean() < 3
