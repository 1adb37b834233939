import math

import pytest
import torch
from torch import nn

from petseg import optim


def test_the_learning_rate_falls_along_half_a_cosine_to_zero():
    optimizer, schedule = optim.build(nn.Linear(2, 1), lr=0.02, epochs=5)
    rates = []
    for _ in range(5):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.01 * (1 + math.cos(math.pi * e / 5)) for e in range(5)])
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)


def test_the_optimizer_is_adam_without_decay_over_every_parameter():
    network = nn.Linear(2, 1)
    optimizer, _ = optim.build(network, lr=0.02, epochs=5)
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.param_groups[0]["weight_decay"] == 0
    assert sum(p.numel() for g in optimizer.param_groups for p in g["params"]) == 3
