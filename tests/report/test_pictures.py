"""Which images are shown, and in which colors their errors."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageColor

from petseg.report import overlays, pictures
from petseg.report.inputs import load
from petseg.report.selection import extreme_rows, sample_rows, worst_rows
from petseg.report.theme import LIGHT
from petseg.report.tiles import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    LONGEST,
    Picture,
    data_uri,
    error_layers,
    load_picture,
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
    for count in (1, 2, 4, 5):
        assert sample_rows(table(unet=[0.5] * count)) == list(range(count))


def test_extremes_are_ranked_by_the_dice_of_the_network_then_by_name():
    test = table(unet=[0.3, 0.9, 0.1, 0.5, 0.7], resnet34_unet=[0.9, 0.1, 0.5, 0.4, 0.6])
    assert extreme_rows(test, "unet") == {"best": 1, "median": 3, "worst": 2}
    assert extreme_rows(test, "resnet34_unet") == {"best": 0, "median": 2, "worst": 1}
    assert extreme_rows(table(name=["c", "a", "b"], unet=[1.0] * 3), "unet") == {"best": 1, "median": 2, "worst": 0}


def test_the_worst_images_are_those_of_any_network():
    test = table(unet=[0.3, 0.9, 0.1, 0.5], resnet34_unet=[0.9, 0.05, 0.5, 0.4])
    assert worst_rows(test, ["unet", "resnet34_unet"], 3) == [1, 2, 0]
    assert worst_rows(test, ["unet"]) == [2, 0, 3, 1]


def errors_at(step):
    """A photograph of one color; of its 4 x 4 blocks of `step` pixels, row 0 is half missed, one block is added."""
    image = np.full((4 * step, 4 * step, 3), (200, 200, 20), dtype=np.uint8)
    truth, mask = np.zeros((2, 4, 4), dtype=bool)
    truth[0, :2] = True
    mask[0, 0] = mask[3, 3] = True
    truth, mask = (np.kron(each, np.ones((step, step))).astype(bool) for each in (truth, mask))
    return Picture("name", "breed", (4 * step,) * 2, image, truth, {"resnet34_unet": truth, "unet": mask}, {})


def test_errors_have_their_colors():
    step = 12
    picture = errors_at(step)
    shown, true = (tile(picture, what).astype(int) for what in ("unet", "truth"))
    blocks = {
        (row, column): shown[row * step :, column * step :][:step, :step] for row in (0, 2, 3) for column in range(4)
    }
    assert np.array_equal(blocks[0, 0], picture.image[:step, :step])  # true positive: as in the image
    missed = np.abs(blocks[0, 1] - ImageColor.getrgb(FALSE_NEGATIVE)).max(axis=-1)
    assert len(np.unique(missed)) == 2  # stripes
    assert (missed < 60).mean() == pytest.approx(0.5)
    assert np.ptp(missed, axis=0).min() > 0  # in every column
    assert np.abs(blocks[3, 3] - ImageColor.getrgb(FALSE_POSITIVE)).max() < 60
    assert np.ptp(blocks[2, 1]) == 0  # true negative: gray
    assert np.array_equal(true[picture.truth], picture.image[picture.truth])  # the ground truth has no errors
    assert np.ptp(true[~picture.truth], axis=-1).max() == 0


def test_a_picture_belongs_to_its_row(project):
    root, values = project()
    picture = load_picture(load(values, root=root), 7)
    assert (picture.name, picture.breed, picture.size) == ("great_pyrenees_7", "great_pyrenees", (30, 40))
    raw = root / "data/raw"
    assert np.array_equal(picture.image, np.asarray(Image.open(raw / "images/great_pyrenees_7.jpg")))
    truth = np.asarray(Image.open(raw / "annotations/trimaps/great_pyrenees_7.png")) != 2
    assert np.array_equal(picture.truth, truth)
    for place, name in enumerate(("unet", "resnet34_unet")):
        assert np.array_equal(picture.masks[name], np.roll(truth, 1 + place, axis=1))
        assert picture.dice[name] == pd.read_csv(root / "plots/test/scores.csv")[name][7]


def test_a_large_photograph_is_reduced_with_its_masks(project, monkeypatch):
    monkeypatch.setattr("petseg.report.tiles.LONGEST", 24)
    assert LONGEST > 1000
    root, values = project()
    picture = load_picture(load(values, root=root), 0)
    assert picture.size == (48, 36)
    assert [each.shape[:2] for each in (picture.image, picture.truth, *picture.masks.values())] == [(18, 24)] * 4


def pixels_of(uri):
    """(H, W, 4) uint8 of a PNG data URI."""
    content = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))


def test_an_outline_is_one_pixel_wide():
    mask = np.zeros((9, 9), dtype=bool)
    mask[2:7, 3:] = True  # up to the right edge, where there is no line
    line = pixels_of(overlays.outline(mask))
    white = (line == 255).all(axis=-1)
    expected = mask.copy()
    expected[3:6, 4:] = False
    assert np.array_equal(white, expected)
    assert (line[0] == 0).all()


def test_a_cut_out_shows_the_mask_and_nothing_else():
    mask = np.zeros((20, 30), dtype=bool)
    mask[5:9, 7:20] = True
    shown = pixels_of(overlays.cutout(mask))
    assert np.array_equal(shown[..., 3], np.where(mask, 0, 255))
    assert len(np.unique(shown[~mask], axis=0)) == 2


def test_the_layer_of_errors_agrees_with_the_marked_photograph():
    picture = errors_at(8)
    layer = pixels_of(overlays.errors(picture.masks["unet"], picture.truth)).astype(float)
    assert np.array_equal(layer[..., 3] == 0, picture.masks["unet"] & picture.truth)
    for where, color, opacity in error_layers(picture.masks["unet"], picture.truth):
        assert where.any()
        assert (layer[where] == (*ImageColor.getrgb(color), round(255 * opacity))).all()


@pytest.mark.parametrize("networks", [1, 2, 3])
def test_figures_show_each_network_in_its_row(project, networks):
    root, values = project(networks=networks)
    inputs = load(values, root=root)
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
    pixels = np.zeros((90, 64, 3), dtype=np.uint8)
    pixels[:, :32] = (250, 10, 10)
    content = data_uri(pixels).removeprefix("data:image/jpeg;base64,")
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))).astype(int)
    assert np.abs(back - pixels).mean() < 3
