import numpy as np

from petseg.batches.sample_rng import epoch_order, sample_rng


def numbers(seed, epoch, index):
    rng, python_rng = sample_rng(seed, epoch, index)
    return [*rng.random(20), *(python_rng.random() for _ in range(20))]


def test_equal_keys_give_equal_numbers():
    assert numbers(1, 2, 3) == numbers(1, 2, 3)


def test_numbers_are_independent_of_each_other_over_seeds_epochs_indices_and_both_generators():
    keys = [(seed, epoch, index) for seed in range(6) for epoch in range(6) for index in range(6)]
    sampled = np.array([numbers(*key) for key in keys])
    assert len(np.unique(sampled)) == sampled.size
    correlations = np.corrcoef(sampled.T)[np.triu_indices(40, 1)]
    assert abs(correlations).max() < 5 / np.sqrt(len(keys))


def test_order_and_augmentation_do_not_share_random_numbers():
    assert numbers(1, 0, 0)[0] != np.random.default_rng([1, 0, 0, 2]).random()
    assert sorted(epoch_order(1, 0, 50)) == list(range(50))
    assert epoch_order(1, 0, 50) == epoch_order(1, 0, 50)
    assert len({tuple(epoch_order(seed, epoch, 50)) for seed in range(3) for epoch in range(3)}) == 9
