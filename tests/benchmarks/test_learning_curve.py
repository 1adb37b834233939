"""The learning curve, without trainings."""

import pytest

import learning_curve


def dice(*counts, scale=1.5, exponent=0.5, offset=0.06):
    """Two seeds around a power law."""
    exact = {count: 1 - scale * count**-exponent - offset for count in counts}
    return {count: [value - 0.001, value + 0.001] for count, value in exact.items()}


def test_the_fit_finds_the_law_and_forecasts_by_it():
    values = dice(40, 80, 160, 320, 640, 1336)
    assert learning_curve.fit(values) == pytest.approx((1.5, 0.5, 0.06), rel=1e-3)
    first, second = learning_curve.forecast(values)
    assert first.endswith(f"with 2,672 images it predicts a test Dice of {1 - 1.5 * 2672**-0.5 - 0.06:.4f}.")
    known = f"{1 - 1.5 * 1336**-0.5 - 0.06:.4f}"
    assert second == f"Fitted without the last point, the curve predicts {known} for 1,336 images; measured: {known}."
    assert learning_curve.table(values)[-1] == f"| 1,336 | 2 | {known} ± 0.0014 | {known} |"


def test_a_figure_is_drawn(tmp_path):
    learning_curve.draw(dice(40, 80, 160, 320), tmp_path / "curve.svg")
    assert b"</svg>" in (tmp_path / "curve.svg").read_bytes()


def test_trainings_see_equally_many_images_and_the_last_one_all_of_them():
    assert learning_curve.settings(50, 200, 10, seed=3) == {
        "seed": 3,
        "split.seed": 3,
        "split.limit": 50,
        "epochs": 40,
    }
    everything = learning_curve.settings(200, 200, 10, seed=3)
    assert (everything["split.limit"], everything["epochs"]) == (None, 10)
