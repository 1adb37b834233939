"""When the files of two runs count as equal, as close as two seeds, or different."""

import json

import pytest

from petseg.experiments import agreement, collect, query
from petseg.experiments.agreement import DIFFERENT, EQUAL, WITHIN, Tolerance
from support import repositories
from support.repositories import result

BINS = ("unet,raw,0.9,0.9,0.5", "unet,raw,0.5,0.4,0.01\nunet,raw,0.9,0.9,0.49", "unet,raw,0.9,0.5,0.5")
ALLOWED = Tolerance(0.02, 0.1, "a test")


def scores(**values):
    return json.dumps({"unet": {"dice": 0.93, "hd95": 5.0, "epoch": 40, "parameters": 1000} | values}).encode()


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({}, EQUAL),
        ({"dice": 0.945}, WITHIN),
        ({"dice": 0.951}, DIFFERENT),
        ({"hd95": 5.4}, WITHIN),
        ({"hd95": 6.0}, DIFFERENT),
        ({"epoch": 7}, WITHIN),
        ({"parameters": 1001}, DIFFERENT),
        ({"dice": float("nan")}, DIFFERENT),
        ({"dice": None}, DIFFERENT),
        ({"new": 0.5}, DIFFERENT),
    ],
)
def test_numbers_of_json_files(values, status):
    assert agreement.compare("metrics/test.json", scores(), scores(**values), ALLOWED).status == status


def test_the_note_names_the_number_that_is_farthest_off():
    verdict = agreement.compare("metrics/test.json", scores(), scores(dice=0.5, hd95=5.1), ALLOWED)
    assert verdict.note == "unet.dice was 0.93, is 0.5"


@pytest.mark.parametrize(
    ("second", "status"),
    [
        ("name,unet\na,0.9\nb,0.7\n", EQUAL),
        ("name,unet\na,0.7\nb,0.92\n", WITHIN),
        ("name,unet\na,0.7\nb,0.7\n", DIFFERENT),
        ("name,unet\nb,0.9\na,0.7\n", DIFFERENT),
        ("name,unet\na,0.9\nb,0.7\nc,0.8\n", DIFFERENT),
        ("name,other\na,0.9\nb,0.7\n", DIFFERENT),
        ("", DIFFERENT),
    ],
)
def test_means_of_the_columns_of_csv_files_and_every_text(second, status):
    first = "name,unet\na,0.9\nb,0.7\n"
    assert agreement.compare("plots/test/scores.csv", first.encode(), second.encode(), ALLOWED).status == status


def test_bins_of_a_reliability_diagram_may_be_empty_in_one_run():
    head = "network,state,confidence,accuracy,share\nunet,raw,0.1,0.1,0.5\n"
    first, close, far = (f"{head}{bins}\n".encode() for bins in BINS)
    assert agreement.compare("plots/test/reliability.csv", first, close, ALLOWED).status == WITHIN
    assert agreement.compare("plots/test/reliability.csv", first, far, ALLOWED).status == DIFFERENT


@pytest.mark.parametrize(("lr", "status"), [("0.003", WITHIN), ("0.004", DIFFERENT)])
def test_curves_are_compared_over_the_epochs_that_both_have(lr, status):
    first = b"epoch,lr,valid_dice\n1,0.003,0.5\n2,0.003,0.6\n"
    second = f"epoch,lr,valid_dice\n1,{lr},0.51\n2,0.003,0.6\n3,0.003,0.9\n".encode()
    assert agreement.compare("plots/train/unet.csv", first, second, ALLOWED).status == status


def test_a_missing_file_is_different():
    assert agreement.compare("metrics/test.json", scores(), None, ALLOWED).status == DIFFERENT
    assert agreement.compare("metrics/test.json", None, scores(), ALLOWED).note == "only in the new run"


def test_the_tolerance_comes_from_three_seeds_where_there_are(tmp_path, monkeypatch):
    seeds = {f"s{seed}": result(tmp_path, {"seed": seed}, 0.9 + 0.01 * seed) for seed in (0, 1)}
    main = repositories.repository(tmp_path, result(tmp_path, {}, 0.92), seeds)
    monkeypatch.chdir(tmp_path)
    rows = query.fold(collect.collect()[0])
    own = agreement.tolerance(rows, main, ["unet"])
    assert (own.score, own.relative) == pytest.approx((0.028, 0.028 / 0.09))
    assert own.source == "3 seeds of this experiment"
    assert agreement.tolerance(rows, "another", ["unet"]).score == pytest.approx(2.8 * 0.0082)
