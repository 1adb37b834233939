import copy
import pickle
import random

import numpy as np
import pytest

from petseg.batches.sample_rng import SameStream, Streams

LAST = 2**64 - 1


def numbers(rng):
    """Of each width, so that none is left over from what was drawn before."""
    return [*rng.random(3), *rng.integers(2**32, size=3, dtype=np.uint32).tolist(), *rng.standard_normal(3)]


def words(*values):
    return np.array(values, np.uint64)


@pytest.mark.parametrize(("seed", "epoch", "index"), [(0, 0, 0), (3, 5, 7), (2**32 - 1, 10**6, LAST)])
def test_a_stream_is_philox_with_seed_as_key_and_sample_as_counter(seed, epoch, index):
    expected = np.random.Generator(np.random.Philox(key=words(seed, 0), counter=words(0, index, epoch, 0)))
    assert numbers(Streams(seed).at(epoch, index)) == numbers(expected)


def test_a_stream_is_the_same_whatever_was_drawn_before():
    streams = Streams(1)
    first = numbers(streams.at(2, 3))
    for rest in range(6):  # numbers left of a block of four, and half of one
        numbers(streams.at(2, 4))
        streams.at(0, 0).integers(2**32, size=rest, dtype=np.uint32)
        assert numbers(streams.at(2, 3)) == first


def test_streams_of_other_seeds_epochs_and_samples_are_others():
    keys = [(seed, epoch, index) for seed in range(6) for epoch in range(6) for index in range(6)]
    drawn = np.array([Streams(seed).at(epoch, index).random(50) for seed, epoch, index in keys])
    assert len(np.unique(drawn)) == drawn.size
    correlations = np.corrcoef(drawn)[np.triu_indices(len(keys), 1)]
    assert abs(correlations).max() < 0.75  # of 23,220 pairs; by chance, 5.3 / sqrt(50)
    assert correlations.std() == pytest.approx(1 / 7, abs=0.005)


@pytest.mark.parametrize("send", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_streams_can_be_sent_to_a_worker(send):
    streams = Streams(4)
    numbers(streams.at(1, 1))
    assert numbers(send(streams).at(8, 9)) == numbers(streams.at(8, 9))


DRAWS = [
    lambda r: r.random(),
    lambda r: r.uniform(-1, 2),
    lambda r: r.gauss(0, 1),
    lambda r: r.normalvariate(0, 1),
    lambda r: r.randint(0, 10**6),
    lambda r: r.choice(range(10**6)),
    lambda r: tuple(r.sample(range(10**6), 3)),
    lambda r: (r.shuffle(given := list(range(20))), tuple(given))[1],
]


@pytest.mark.parametrize("draw", DRAWS)
def test_pythons_numbers_are_numpys(draw):
    """A half that stays out of the stream, or is kept for later, would be another each time."""
    chance = SameStream()
    random.seed(1)
    drawn = [draw(chance.of(np.random.default_rng(seed))) for seed in range(5)]
    random.seed(2)
    assert drawn == [draw(SameStream().of(np.random.default_rng(seed))) for seed in range(5)]
    assert len(set(drawn)) == 5


def test_python_and_numpy_draw_from_one_stream_in_turn():
    rng, expected = np.random.default_rng(1), np.random.default_rng(1)
    chance = SameStream().of(rng)
    assert [chance.random(), rng.random(), chance.random()] == expected.random(3).tolist()
