"""Charts, read back from their Figure objects."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from petseg.report import charts
from petseg.report.theme import DARK, LIGHT, png, svg


def curve(epochs: int, speed: float) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    fall = np.exp(-speed * epoch)
    losses = {"train_loss": fall + 0.1, "valid_loss": fall + 0.2}
    return pd.DataFrame({"epoch": epoch, **losses, "train_dice": 1 - fall, "valid_dice": 0.95 - fall})


def lines(axes) -> dict:
    return {line.get_label(): line for line in axes.get_lines()}


@pytest.fixture
def tables():
    return {"unet": curve(6, 0.3), "resnet34_unet": curve(6, 0.5)}


@pytest.fixture
def scores():
    breeds = ["beagle", "pug", "Bengal", "beagle"]
    dice = {"unet": [0.9, 0.5, 0.8, 0.7], "resnet34_unet": [0.95, 0.6, 0.85, 0.75]}
    return pd.DataFrame({"breed": breeds, "species": ["dog", "dog", "cat", "dog"], **dice})


KEPT = {"unet": 3, "resnet34_unet": 6}


@pytest.mark.parametrize("quantity", ["dice", "loss"])
def test_train_is_solid_valid_is_dashed_and_colours_are_the_networks(tables, quantity):
    drawn = lines(charts.curves(tables, KEPT, quantity, "title", LIGHT).axes[0])
    for name, label in (("unet", "UNet"), ("resnet34_unet", "ResNet34-UNet")):
        for split, style in (("train", "-"), ("valid", "--")):
            line = drawn[f"{label}, {split}"]
            assert line.get_linestyle() == style
            assert line.get_color() == LIGHT.networks[name]
            assert np.array_equal(line.get_xdata(), [1, 2, 3, 4, 5, 6])
            assert np.array_equal(line.get_ydata(), tables[name][f"{split}_{quantity}"])


def test_the_dot_is_the_epoch_that_was_kept(tables):
    for quantity in ("dice", "loss"):
        axes = charts.curves(tables, KEPT, quantity, "title", LIGHT).axes[0]
        dots = [line for line in axes.get_lines() if line.get_marker() == "o"]
        assert [dot.get_xdata()[0] for dot in dots] == [3, 6]
        assert dots[0].get_ydata()[0] == tables["unet"][f"valid_{quantity}"][2]


def test_one_epoch_is_seen_as_dots(tables):
    tables = {name: table.head(1) for name, table in tables.items()}
    drawn = charts.curves(tables, {"unet": 1, "resnet34_unet": 1}, "dice", "title", LIGHT).axes[0].get_lines()
    assert len(drawn) == 4
    assert all(line.get_marker() == "o" for line in drawn)


def test_breeds_have_counts_and_means_in_order(scores):
    axes = charts.breeds(scores, LIGHT).axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["cat (1)", "Bengal (1)", "dog (3)", "beagle (2)", "pug (1)"]
    dots = [line for line in axes.get_lines() if line.get_marker() == "o"]
    placed = {(round(float(dot.get_ydata()[0])), dot.get_color()): float(dot.get_xdata()[0]) for dot in dots}
    blue, orange = LIGHT.networks["unet"], LIGHT.networks["resnet34_unet"]
    means = {(1, blue): 0.8, (1, orange): 0.85, (3, blue): 0.8, (3, orange): 0.85, (4, blue): 0.5, (4, orange): 0.6}
    assert placed == pytest.approx(means)
    (reach,) = (line for line in axes.get_lines() if len(line.get_xdata()) == 2 and line.get_color() == blue)
    assert np.ptp(reach.get_xdata()) / 2 == pytest.approx(0.1)  # s / sqrt(2) of 0.9 and 0.7


def test_37_breeds_do_not_overlap():
    count = 37 * 3
    breeds = [f"breed_{index % 37:02}" for index in range(count)]
    dice = np.linspace(0.5, 0.95, count)
    scores = pd.DataFrame({"breed": breeds, "species": "cat", "unet": dice, "resnet34_unet": dice})
    figure = charts.breeds(scores, LIGHT)
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(above.y0 > below.y1 for above, below in pairwise(boxes))
    assert all(box.x0 >= 0 for box in boxes)


def test_every_image_is_counted_also_at_the_ends():
    dice = [0.0, 1.0, 0.5, 0.92]
    scores = pd.DataFrame({"unet": dice, "resnet34_unet": [1.0] * 4})
    axes = charts.distribution(scores, LIGHT).axes[0]
    edges = np.arange(51) / 50
    blue = axes.patches[0].get_xy()
    assert blue[:, 0].min() == 0
    assert axes.get_xlim() == (0.0, 1.0)
    heights = [blue[(np.isclose(blue[:, 0], edge)), 1].max() for edge in edges]
    assert heights[0] == 1
    assert heights[50] == 1
    medians = [line.get_xdata()[0] for line in axes.get_lines() if len(line.get_xdata())]
    assert medians == pytest.approx([0.71, 1.0])


def test_bytes_are_the_same_each_time_and_differ_by_theme(scores):
    def draw(theme):
        return charts.breeds(scores, theme)

    assert png(draw) == png(draw)
    assert b"Software" not in png(draw)
    assert svg(draw, DARK) == svg(draw, DARK)
    assert DARK.networks["unet"] in svg(draw, DARK)
    assert LIGHT.networks["unet"] not in svg(draw, DARK)


def test_a_breed_is_neither_markup_nor_formula(scores):
    scores["breed"] = "<b>$x^2$</b> & co"
    text = svg(lambda theme: charts.breeds(scores, theme), LIGHT)
    assert "&lt;b&gt;$x^2$&lt;/b&gt; &amp; co (3)</text>" in text
