"""Outlines drawn as masks."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from petseg.importing import shapes
from petseg.importing.shapes import Shape
from petseg.runtime.errors import DataError

SIZE = (12, 9)  # width and height


def drawn(*found: Shape) -> np.ndarray:
    return shapes.draw(found, SIZE)


def test_a_pixel_belongs_to_a_polygon_if_its_center_does() -> None:
    expected = np.zeros((9, 12), bool)
    expected[3:7, 2:10] = True
    np.testing.assert_array_equal(drawn(Shape("a", (shapes.rectangle(2, 3, 8, 4),))), expected)
    np.testing.assert_array_equal(drawn(Shape("a", (shapes.rectangle(1.7, 3.3, 8.1, 4),))), expected)


def test_slanted_edges_have_no_bias() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64] + 0.5
    differences = []
    for _ in range(30):
        a, b, c = corners = rng.uniform(0, 64, (3, 2))
        sides = [(q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) for p, q in ((a, b), (b, c), (c, a))]
        exact = np.all([side > 0 for side in sides], axis=0) | np.all([side < 0 for side in sides], axis=0)
        found = shapes.draw([Shape("a", (corners,))], (64, 64))
        assert (found != exact).mean() < 0.015
        differences.append(found.mean() - exact.mean())
    assert abs(np.mean(differences)) < 0.006


def test_what_is_outside_the_image_is_cut_off() -> None:
    assert drawn(Shape("a", (shapes.rectangle(-5, -5, 100, 100),))).all()
    assert not drawn(Shape("a", (shapes.rectangle(-50, 2, 20, 5),))).any()
    assert not drawn(Shape("a", (shapes.polygon([1, 1, 5, 5]), shapes.polygon([])))).any()  # a line, and nothing
    part = np.ones((4, 4), bool)
    found = drawn(Shape("a", bitmap=(-2, 7, part)))
    assert np.argwhere(found).tolist() == [[7, 0], [7, 1], [8, 0], [8, 1]]
    assert not drawn(Shape("a", bitmap=(50, 50, part))).any()
    assert not drawn(Shape("a", bitmap=(-9, 0, part))).any()


def test_all_objects_are_united() -> None:
    parts = Shape("a", (shapes.rectangle(0, 0, 1, 1), shapes.rectangle(2, 0, 1, 1)))
    assert np.argwhere(drawn(parts, Shape("b", bitmap=(4, 0, np.ones((1, 1), bool))))).tolist() == [
        [0, 0],
        [0, 2],
        [0, 4],
    ]


def test_ellipses() -> None:
    y, x = np.mgrid[:60, :60] + 0.5
    exact = ((x - 30) / 20) ** 2 + ((y - 25) / 10) ** 2 <= 1
    found = shapes.draw([Shape("a", (shapes.ellipse(30, 25, 20, 10),))], (60, 60))
    assert (found != exact).mean() < 0.01
    turned = shapes.draw([Shape("a", (shapes.ellipse(25, 30, 20, 10, 90),))], (60, 60))
    assert (turned != exact.T).mean() < 0.01


def test_bitmaps_from_runs_and_from_png() -> None:
    assert shapes.runs([1, 2, 3], 3, 2).tolist() == [[False, True, True], [False, False, False]]
    buffer = io.BytesIO()
    Image.fromarray(np.array([[0, 1], [255, 0]], np.uint8)).save(buffer, "PNG")
    assert shapes.png(base64.b64encode(buffer.getvalue()).decode()).tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize("counts", [[1], [7], [10**9], [-1, 7], []])
def test_runs_that_do_not_fill_their_box(counts: list[int]) -> None:
    with pytest.raises(ValueError, match=r"run lengths|negative|repeats"):
        shapes.runs(counts, 3, 2)


@pytest.mark.parametrize("numbers", [[1, 2, 3], [float("nan"), 1, 2, 2, 3, 3], [1e300, 0, 0, 0, 1, 1], ["a", 1]])
def test_points_that_are_none(numbers: list) -> None:
    with pytest.raises(ValueError, match=r"."):
        shapes.polygon(numbers)


def test_run_lengths_of_coco() -> None:
    pytest.importorskip("pycocotools", reason="run lengths of COCO need the package pycocotools")
    exact = np.zeros((9, 12), bool)
    exact[2:5, 3:7] = True
    columns = exact.T.ravel()
    counts = np.diff([0, *(np.flatnonzero(np.diff(columns)) + 1), columns.size]).tolist()
    np.testing.assert_array_equal(drawn(Shape("a", rle={"size": [9, 12], "counts": counts})), exact)
    with pytest.raises(DataError, match="A run-length mask of a has another size than its image"):
        drawn(Shape("a", rle={"size": [10**9, 10**9], "counts": counts}))
    with pytest.raises(DataError, match="A run-length mask of the annotations is damaged"):
        drawn(Shape("a", rle={"size": [9, 12], "counts": [5, *counts]}))
