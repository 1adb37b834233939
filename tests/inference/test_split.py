"""Images of the data set: which ones a split has, and the picture of one of them."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from petseg.data import layout, splits
from petseg.inference import split
from petseg.inference.predictor import Predictor
from petseg.report.theme import LIGHT
from petseg.runtime.errors import DataError
from support.photos import photograph, save_network

NAMES = {"Bengal_3": "test", "Bengal_12": "test", "pug_1": "test", "pug_2": "train", "NA": "valid"}


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """Five images of 48 x 36 pixels, of which the upper half is pet, with a line of border."""
    monkeypatch.chdir(tmp_path)
    trimap = np.full((36, 48), 2, np.uint8)
    trimap[:18], trimap[18:20] = 1, 3
    layout.image_path(layout.RAW, "x").parent.mkdir(parents=True)
    layout.trimap_path(layout.RAW, "x").parent.mkdir(parents=True)
    for seed, name in enumerate(NAMES):
        photograph(seed).save(layout.image_path(layout.RAW, name))
        Image.fromarray(trimap).save(layout.trimap_path(layout.RAW, name))
    rows = [(name, part, "b", "cat", 48, 36) for name, part in NAMES.items()]
    pd.DataFrame(rows, columns=splits.COLUMNS).to_csv(splits.TABLE, index=False)


@pytest.mark.parametrize(("part", "found"), [("test", ["Bengal_3", "Bengal_12", "pug_1"]), ("valid", ["NA"])])
def test_the_images_of_a_split(part, found):
    assert split.names(part) == found
    assert [(str(job.path), str(job.name)) for job in split.jobs(part)] == [
        (f"data/raw/images/{name}.jpg", name) for name in found
    ]
    assert [split.by_index(part, index) for index in range(len(found))] == found
    assert [split.by_name(part, name) for name in found] == found


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: split.names("tset"), "There is no split 'tset'; name one of train, valid, test."),
        (lambda: split.by_index("test", 3), "There is no image 3 in the test split; its images are 0 to 2."),
        (lambda: split.by_index("test", -1), "There is no image -1 in the test split; its images are 0 to 2."),
        (
            lambda: split.by_name("test", "bengal_4"),
            "no image 'bengal_4' in the test split; the nearest name is Bengal_3",
        ),
        (lambda: split.by_name("test", "pug_2"), "no image 'pug_2' in the test split; the nearest name is pug_1."),
    ],
    ids=["split", "large", "negative", "misspelled", "of another split"],
)
def test_what_does_not_exist_is_a_sentence(call, words):
    with pytest.raises(DataError) as error:
        call()
    assert words in str(error.value)


def test_missing_data_are_a_sentence():
    layout.image_path(layout.RAW, "Bengal_3").unlink()
    with pytest.raises(DataError, match=r"Bengal_3.jpg does not exist; run `dvc repro fetch_data`"):
        split.open_photo(split.jobs("test")[0])
    splits.TABLE.unlink()
    with pytest.raises(DataError, match="run `dvc repro split`"):
        split.names("test")


def test_the_picture_shows_photograph_truth_masks_and_errors_with_scores(tmp_path):
    models = {name: Predictor([save_network(tmp_path / name, name)]) for name in ("unet", "resnet34_unet")}
    figure = split.draw("Bengal_12", models, flips=True, threshold=0.4, theme=LIGHT)
    assert "Bengal_12" in figure.get_suptitle()
    grid = np.reshape(figure.axes, (2, 3))
    assert [axes.get_title() for axes in grid[0]] == ["photograph", "unet", "resnet34_unet"]
    image = np.asarray(Image.open(layout.image_path(layout.RAW, "Bengal_12")))
    assert np.array_equal(grid[0, 0].images[0].get_array(), image)
    truth = np.arange(36) < 20
    for column, model in enumerate(models.values(), 1):
        mask = np.asarray(model.predict(image, threshold=0.4, flips=True).mask)
        assert np.array_equal(grid[0, column].images[0].get_array(), mask)
        found, common = np.count_nonzero(mask), np.count_nonzero(mask[truth])
        dice, iou = 2 * common / (found + 20 * 48), common / (found + 20 * 48 - common)
        assert grid[1, column].get_title() == f"Dice {dice:.3f}   IoU {iou:.3f}"
        right = (mask > 0) & truth[:, None]
        assert np.abs(grid[1, column].images[0].get_array()[right].astype(int) - image[right]).max() <= 1
