import numpy as np
import pytest
from scipy.special import expit

from petseg.evaluation.reliability import BINS, Reliability


def pixels(count=10_000, seed=0):
    """Logits and truths of a network that is calibrated."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, count).astype(np.float32)
    return logits, rng.random(count) < expit(logits)


def test_scores_are_those_of_the_definitions():
    logits, truth = pixels()
    found = Reliability.measure(3 * logits, truth).scores()
    confident = expit(3 * logits.astype(float))
    bins = np.digitize(confident, np.arange(1, BINS) / BINS)
    ece = sum(abs((confident - truth)[bins == b].sum()) for b in range(BINS)) / len(truth)
    assert found["ece"] == pytest.approx(ece, abs=1e-5)
    assert found["brier"] == pytest.approx(np.mean((confident - truth) ** 2), abs=1e-6)
    assert found["nll"] == pytest.approx(-np.mean(np.log(np.where(truth, confident, 1 - confident))), abs=1e-6)
    assert Reliability.measure(logits, truth).scores()["ece"] < 0.02 < 0.05 < found["ece"]


def test_parts_can_be_added():
    logits, truth = pixels(999)
    whole = Reliability.measure(logits, truth)
    parts = Reliability.measure(logits[:400], truth[:400]) + Reliability.measure(logits[400:], truth[400:])
    assert parts.scores() == pytest.approx(whole.scores())
    for key, values in whole.diagram().items():
        assert parts.diagram()[key] == pytest.approx(values)


def test_diagram_leaves_empty_bins_out():
    logits, truth = np.array([-50.0, -50, 0, 50], np.float32), np.array([False, True, True, True])
    diagram = Reliability.measure(logits, truth).diagram()
    assert diagram["confidence"] == pytest.approx([0, 0.5, 1])
    assert diagram["accuracy"] == pytest.approx([0.5, 1, 1])
    assert diagram["share"] == pytest.approx([0.5, 0.25, 0.25])
