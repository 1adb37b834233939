"""The charts, read back from their Figure objects, and the Vega templates of DVC's plots."""

import json
import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import vl_convert
from scipy import stats

from petseg.config.networks import NETWORKS
from petseg.report import charts
from petseg.report.theme import LIGHT, svg
from support.paths import ROOT

KEPT = {"unet": 3, "resnet34_unet": 6}


def legend(figure) -> dict[str, str]:
    """Colors of the figure's legend by label."""
    (keys,) = figure.legends
    return {text.get_text(): line.get_color() for text, line in zip(keys.get_texts(), keys.get_lines(), strict=True)}


@pytest.fixture
def scores():
    breeds = ["beagle", "pug", "Bengal", "beagle"]
    dice = {"unet": [0.9, 0.5, 0.8, 0.7], "resnet34_unet": [0.95, 0.6, 0.85, 0.75]}
    return pd.DataFrame({"breed": breeds, "species": ["dog", "dog", "cat", "dog"], **dice})


@pytest.mark.parametrize("quantity", ["dice", "loss"])
def test_curves_have_the_color_of_the_network_and_the_style_of_the_split(curve, quantity):
    tables = {name: curve(6, place) for place, name in enumerate(NETWORKS)}
    figure = charts.curves(tables, KEPT, quantity, "title", LIGHT)
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    for name, table in tables.items():
        for split, style in (("train", "-"), ("valid", "--")):
            line = lines[f"_{name} {split}"]
            assert (line.get_linestyle(), line.get_color()) == (style, LIGHT.networks[name])
            assert np.array_equal(line.get_xdata(), [1, 2, 3, 4, 5, 6])
            assert np.array_equal(line.get_ydata(), table[f"{split}_{quantity}"])
        dot = lines[f"_{name} kept"]
        assert (dot.get_marker(), dot.get_color()) == ("o", LIGHT.networks[name])
        assert (*dot.get_xdata(), *dot.get_ydata()) == (KEPT[name], table[f"valid_{quantity}"][KEPT[name] - 1])
    styles = axes.get_legend()
    assert [text.get_text() for text in styles.get_texts()] == ["training", "validation"]
    assert [line.get_linestyle() for line in styles.get_lines()] == ["-", "--"]
    assert legend(figure) == {"UNet": "#0072b2", "ResNet34-UNet": "#d55e00"}


def test_one_epoch_is_drawn_as_dots(curve):
    figure = charts.curves({"unet": curve(1, 0)}, {"unet": 1}, "dice", "title", LIGHT)
    drawn = [line for line in figure.axes[0].get_lines() if len(line.get_xdata())]
    assert [line.get_marker() for line in drawn] == ["o"] * 3


def test_breeds_have_counts_and_means_in_order(scores):
    figure = charts.breeds(scores, LIGHT)
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["cat (1)", "Bengal (1)", "dog (3)", "beagle (2)", "pug (1)"]
    dots = [line for line in axes.get_lines() if line.get_marker() == "o"]
    placed = {(round(float(dot.get_ydata()[0])), dot.get_color()): float(dot.get_xdata()[0]) for dot in dots}
    blue, orange = LIGHT.networks["unet"], LIGHT.networks["resnet34_unet"]
    means = {(1, blue): 0.8, (1, orange): 0.85, (3, blue): 0.8, (3, orange): 0.85, (4, blue): 0.5, (4, orange): 0.6}
    assert placed == pytest.approx(means)
    bars = [bar.get_segments()[0] for bar in axes.collections]
    lengths = [np.ptp(bar[:, 0]) for bar in bars if len(bar)]
    assert lengths == pytest.approx([0.2, 0.2])  # two standard errors, s / sqrt(2), of 0.9 and 0.7, or 0.95 and 0.75
    assert legend(figure) == {"UNet": blue, "ResNet34-UNet": orange}


def test_differences_are_paired_and_those_of_the_test(scores):
    rng = np.random.default_rng(0)
    unet = rng.uniform(0.7, 0.9, 26)
    test = pd.DataFrame(
        {
            "breed": [*["pug"] * 12, *["beagle"] * 4, *["Bengal"] * 10],
            "species": [*["dog"] * 16, *["cat"] * 10],
            "unet": unet,
            "resnet34_unet": unet - rng.normal([*[0.01] * 12, *[0.05] * 4, *[-0.03] * 10], 0.004),
        }
    )
    [axes] = charts.differences(test, LIGHT).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["all (26)", "dog (16)", "cat (10)", "other breeds (4)", "pug (12)", "Bengal (10)"]
    lines = [line.get_xdata() for line in axes.lines[1:]]  # after the zero line
    intervals = [line for line in lines if len(line) == 2]
    assert len(intervals) == 5  # four images have none
    assert [label.get_fontweight() for label in axes.get_yticklabels()] == ["bold"] * 3 + ["normal"] * 3
    pugs = stats.ttest_rel(test["unet"][:12], test["resnet34_unet"][:12]).confidence_interval()
    assert list(intervals[-2]) == pytest.approx(list(pugs))


def test_differences_show_both_ends_of_many_breeds():
    rng = np.random.default_rng(0)
    breeds = np.repeat([f"breed_{index:02}" for index in range(14)], 12)
    test = pd.DataFrame({"breed": breeds, "species": "cat", "unet": 0.9})
    test["resnet34_unet"] = 0.9 + np.repeat(np.arange(14), 12) / 100 + rng.normal(0, 0.001, len(test))
    [axes] = charts.differences(test, LIGHT).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["all (168)", *(f"breed {index:02} (12)" for index in (0, 1, 2, 3, 4, 9, 10, 11, 12, 13))]


def test_differences_without_large_breeds_show_the_species():
    test = pd.DataFrame(
        {"breed": list("abcdefghijkl"), "species": ["cat", "dog"] * 6, "unet": 0.9, "resnet34_unet": 0.8}
    )
    [axes] = charts.differences(test, LIGHT).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["all (12)"]


def test_the_forest_has_means_intervals_and_the_paired_difference(scores):
    test = pd.concat([scores] * 3)
    unet, other = test["unet"], test["resnet34_unet"]
    numbers = {"unet": {"dice": 0.725, "dice_low": 0.7, "dice_high": 0.75}, "resnet34_unet": {"dice": 0.7875}}
    upper, lower = charts.forest(test, numbers, LIGHT).axes
    lines = [list(line.get_xdata()) for line in upper.lines if line.get_color() != LIGHT.grid]
    assert lines == [[0.7, 0.75], [0.725], [0.7875]]  # one network has no interval
    assert [text.get_text() for text in upper.texts] == ["0.7250", "0.7875"]
    interval, mean, zero = [list(line.get_xdata()) for line in lower.lines]
    assert interval == pytest.approx(list(stats.ttest_rel(unet, other).confidence_interval()))
    assert mean == pytest.approx([(unet - other).mean()])
    assert zero == [0, 0]


def test_pairs_have_a_dot_per_image_in_the_color_of_the_better(scores):
    scores.loc[0, "unet"] = 0.97
    [axes] = charts.pairs(scores, LIGHT).axes
    dots = {line.get_color(): line.get_xydata().tolist() for line in axes.lines if line.get_marker() == "o"}
    assert dots[LIGHT.networks["unet"]] == [[0.97, 0.95]]
    assert dots[LIGHT.networks["resnet34_unet"]] == scores.loc[1:, ["unet", "resnet34_unet"]].values.tolist()
    assert {text.get_text() for text in axes.texts} == {"UNet better: 25%", "ResNet34-UNet better: 75%"}
    assert axes.get_xlim()[0] <= 0.5


def test_reliability_has_a_line_per_network_and_state():
    rows = [(name, state, x, x / 2) for name in NETWORKS for state in ("raw", "calibrated") for x in (0.2, 0.8)]
    bins = pd.DataFrame(rows, columns=["network", "state", "confidence", "accuracy"])
    [axes] = charts.reliability(bins, LIGHT).axes
    lines = {(line.get_color(), line.get_linestyle()) for line in axes.lines if line.get_marker() == "o"}
    assert lines == {(color, style) for color in LIGHT.networks.values() for style in ("-", "--")}
    assert all(line.get_ydata().tolist() == [0.1, 0.4] for line in axes.lines if line.get_marker() == "o")


def test_37_breeds_do_not_overlap():
    dice = np.linspace(0.5, 0.95, 37 * 3)
    breeds = [f"breed_{index % 37:02}" for index in range(len(dice))]
    figure = charts.breeds(pd.DataFrame({"breed": breeds, "species": "cat", **dict.fromkeys(NETWORKS, dice)}), LIGHT)
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(above.y0 > below.y1 for above, below in pairwise(boxes))
    assert all(box.x0 >= 0 for box in boxes)


def test_the_histogram_counts_every_image_also_at_the_ends():
    scores = pd.DataFrame({"unet": [0.0, 1.0, 0.5, 0.92], "resnet34_unet": [1.0] * 4})
    figure = charts.distribution(scores, LIGHT)
    (axes,) = figure.axes
    outlines = {patch.get_edgecolor(): patch.get_xy() for patch in axes.patches if not patch.get_fill()}
    assert axes.get_xlim() == (0.0, 1.0)
    heights = [[outline[np.isclose(outline[:, 0], x), 1].max() for x in (0, 0.5, 1)] for outline in outlines.values()]
    assert heights == [[1, 1, 1], [0, 0, 4]]
    medians = {line.get_color(): line.get_xdata()[0] for line in axes.get_lines() if len(line.get_xdata())}
    assert medians == {LIGHT.networks["unet"]: 0.71, LIGHT.networks["resnet34_unet"]: 1.0}


def test_a_breed_is_neither_markup_nor_formula(scores):
    scores["breed"] = "<b>$x^2$</b> & co"
    text = svg(lambda theme: charts.breeds(scores, theme), LIGHT)
    assert "&lt;b&gt;$x^2$&lt;/b&gt; &amp; co (3)</text>" in text


def fill_template(name: str, rows: list[dict], x: str, y: str) -> str:
    """Fills a template as DVC does, and renders it as SVG."""
    text = (ROOT / f".dvc/plots/{name}.json").read_text(encoding="utf-8")
    text = text.replace('"<DVC_METRIC_DATA>"', json.dumps(rows))
    for key, value in (("X", x), ("Y", y), ("X_LABEL", x), ("Y_LABEL", y), ("TITLE", "title")):
        text = text.replace(f"<DVC_METRIC_{key}>", value)
    return vl_convert.vegalite_to_svg(text)


def test_curves_on_dvcs_page_are_colored_in_the_order_of_the_networks():
    networks = ["unet", "resnet34_unet", "slim"]
    rows = [
        {"rev": "main", "filename": f"plots/train/{name}.csv", "field": f"{split}_dice", "epoch": epoch, "value": 0.5}
        for name in networks
        for split in ("train", "valid")
        for epoch in (1, 2)
    ]
    text = fill_template("curves", rows, "epoch", "value")
    lines = re.findall(r'<path aria-label="[^"]*network: (\w+); split: (\w+)[^"]*"[^>]*line mark"[^>]*>', text)
    assert sorted(lines) == sorted((name, split) for name in networks for split in ("train", "valid"))
    colors = dict(re.findall(r'network: (\w+); split: train[^"]*"[^>]*line mark"[^>]*stroke="(#\w+)"', text))
    assert colors == {"unet": "#0072b2", "resnet34_unet": "#d55e00", "slim": "#009e73"}


def test_dots_on_dvcs_page_have_the_order_of_the_networks_and_of_the_scores():
    dice = {"unet": 0.5, "resnet34_unet": 0.25}
    rows = [
        {"rev": "main", "network": n, "dice": d, "dice_low": d - 0.1, "dice_high": d + 0.1} for n, d in dice.items()
    ]
    text = fill_template("dots", rows, "network", "dice")
    mark = r'label="([^"]*)"[^>]*roledescription="point" transform="translate\(([\d.]+),([\d.]+)\)'
    dots = sorted(re.findall(mark, text), key=lambda dot: float(dot[2]))
    assert [re.search(r"network: (\w+)", label)[1] for label, _, _ in dots] == list(dice)
    assert float(dots[0][1]) > float(dots[1][1])


def test_older_commits_find_the_template_that_they_name():
    bars, dots = (json.loads((ROOT / f".dvc/plots/{name}.json").read_text()) for name in ("bars", "dots"))
    assert "description" in bars
    assert {key: value for key, value in bars.items() if key != "description"} == dots


def test_pairs_on_dvcs_page_have_a_point_per_image_and_the_diagonal():
    rows = [{"rev": "main", "name": f"n{index}", "unet": 0.5 + index / 8, "other": 0.6} for index in range(3)]
    text = fill_template("pairs", rows, "unet", "other")
    assert len(re.findall(r'unet: 0.[^"]*other: 0.6[^>]*roledescription="point"', text)) == 3
    ((line),) = re.findall(r'roledescription="line mark" d="M([^"]*)"', text)
    points = [tuple(map(float, point.split(","))) for point in line.split("L")]
    assert all(x + y == pytest.approx(points[0][1]) for x, y in points)  # y points down
