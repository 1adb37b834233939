"""Synthetic images: the layout, the trimaps, and that brightness alone does not solve them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from petseg.data.sources.synthetic import Drawing, draw, photo, write
from petseg.data.sources.synthetic.anatomy import limb
from petseg.data.sources.synthetic.breeds import BREEDS, CATS, DOGS
from petseg.data.sources.synthetic.drawing import trimap
from petseg.data.sources.synthetic.relief import relief
from support.paths import real_data


@pytest.fixture(scope="module")
def drawings() -> list[Drawing]:
    return [draw(index, seed=2012) for index in range(74)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("synthetic")
    write(path, images=74, seed=3, workers=2)
    return path


def otsu_dice(drawing: Drawing) -> float:
    """Dice of the better polarity of Otsu's threshold (1979) on gray, against trimap 1 and 3."""
    gray = np.asarray(Image.fromarray(drawing.image).convert("L"))
    share = np.bincount(gray.ravel(), minlength=256) / gray.size
    below, moment = share.cumsum(), (share * np.arange(256)).cumsum()
    between = (moment[-1] * below - moment) ** 2 / np.maximum(below * (1 - below), 1e-12)
    bright, pet = gray > between[:255].argmax(), drawing.trimap != 2
    return max(2 * (mask & pet).sum() / (mask.sum() + pet.sum()) for mask in (bright, ~bright))


def entries(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]


def test_sizes_values_and_shares_are_like_photographs(drawings):
    for drawing in drawings:
        height, width = drawing.trimap.shape
        assert 200 <= min(height, width) <= max(height, width) <= 600
        assert drawing.image.shape == (height, width, 3)
        assert drawing.image.dtype == drawing.trimap.dtype == np.uint8
        assert set(np.unique(drawing.trimap)) == {1, 2, 3}
    assert len({drawing.image.shape for drawing in drawings}) > 30
    pet, border = (np.array([(drawing.trimap == value).mean() for drawing in drawings]) for value in (1, 3))
    assert 0.25 < pet.mean() < 0.40
    assert pet.min() > 0.01
    assert pet.max() < 0.85
    assert np.ptp(pet) > 0.3
    assert 0.07 < border.mean() < 0.13


def test_brightness_does_not_separate_pet_and_background(drawings):
    assert np.mean([otsu_dice(drawing) for drawing in drawings]) < 0.6
    pet, background = ([d.image[d.trimap == value].mean() for d in drawings] for value in (1, 2))
    assert 0.2 < np.mean(np.greater(pet, background)) < 0.8


def test_images_depend_on_the_arguments_only(drawings):
    again, other = draw(5, 2012), draw(5, 2013)
    assert np.array_equal(again.image, drawings[5].image)
    assert np.array_equal(again.trimap, drawings[5].trimap)
    assert again.breed == other.breed == BREEDS[5].name
    assert other.image.shape != again.image.shape or not np.array_equal(other.image, again.image)


def test_breeds_take_turns(drawings):
    assert [drawing.breed for drawing in drawings] == [breed.name for breed in BREEDS] * 2
    assert (len(CATS), len(DOGS)) == (12, 25)


def test_the_border_is_on_both_sides_of_the_outline():
    pet = np.zeros((40, 60), bool)
    pet[:, 30:] = True
    row = trimap(pet, 4)[20]
    assert row[:26].tolist() == [2] * 26
    assert row[26:34].tolist() == [3] * 8
    assert row[34:].tolist() == [1] * 26  # no border at the edge of the picture
    pet[:, :] = False
    pet[10:14, 40:50] = True
    thin = trimap(pet, 4)
    assert (thin[10:14, 40:50] == 3).all()
    assert thin[10, 35] == 2
    assert thin[6, 45] == 3
    assert thin[5, 45] == 2


def test_nearer_parts_hide_others():
    ball = {"head": (1.0, 0.0, 0.0), "paw": (0.0, 0.0, 1.0)}
    parts = [limb("head", (0, 0, 0, 0.5)), limb("paw", (0.3, 0.2, 1.0, 0.2))]
    seen = relief(parts, ball, 100, (-1.0, 1.0), np.zeros((200, 200), np.float32))
    assert seen.color[80, 130].round(2).tolist() == [0, 0, 1]  # the center of the paw: x 0.3, y 0.2 up
    assert seen.color[120, 70].round(2).tolist() == [1, 0, 0]
    assert abs(seen.outside[100, 50]) < 0.02  # the left edge of the head
    assert seen.outside[100, 30] > 0.1
    assert seen.depth[80, 130] == pytest.approx(1.2 - 0.5, abs=0.02)  # relative to the mean depth of the parts


@pytest.mark.parametrize("seed", range(3))
def test_an_occluded_pet_is_background(seed, monkeypatch):
    hidden = []

    def occlude(picture, cover, rng):
        mask = np.zeros_like(cover)
        mask[:, : mask.shape[1] // 2] = 1
        hidden.append(mask > 0)
        return mask

    monkeypatch.setattr(photo, "occlude", occlude)
    drawing = next(each for each in (draw(index, seed) for index in range(40)) if hidden)
    assert not (drawing.trimap[hidden[0]] == 1).any()
    assert (drawing.trimap == 1).any()


def test_lists_are_complete_and_disjoint(folder):
    every, trainval, test = (entries(folder / f"annotations/{name}.txt") for name in ("list", "trainval", "test"))
    names = {line[0] for line in every}
    assert len(every) == len(names) == 74
    assert len(trainval) == len(test) == 37
    assert sorted(trainval + test) == sorted(every)
    for path, kind, mode in (("images", "JPEG", "RGB"), ("annotations/trimaps", "PNG", "L")):
        assert {path.stem for path in (folder / path).iterdir()} == names
        with Image.open(next((folder / path).iterdir())) as image:
            assert (image.format, image.mode) == (kind, mode)
    for half in (trainval, test):
        assert {line[1] for line in half} == {str(number) for number in range(1, 38)}


def test_bytes_do_not_depend_on_workers(folder, tmp_path):
    write(tmp_path, images=4, seed=3, workers=1)
    for path in sorted(tmp_path.rglob("*.*g")):
        assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes()
    assert len(list(tmp_path.rglob("*.jpg"))) == 4


def test_names_and_numbers_are_official(folder):
    def breeds(path: Path) -> set[tuple[str, ...]]:
        return {(line[0].rpartition("_")[0], *line[1:]) for line in entries(path)}

    assert breeds(folder / "annotations/list.txt") == breeds(real_data("official-lists") / "list.txt")
