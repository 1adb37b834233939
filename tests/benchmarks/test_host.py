"""What a step costs the host: the count, which is a fact of the code; the time is not tested."""

import pytest
import torch

import host
from petseg.config.networks import NETWORKS


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_has_as_many_operations_each_time(name):
    take, counts = host.step(name), []
    take()  # Adam makes its state
    for _ in range(2):
        with host.Counter() as counter:
            take()
        counts.append(counter.count)
    assert counts[0] == counts[1] > 200


def test_what_launches_no_kernel_is_not_counted():
    with host.Counter() as counter:
        x = torch.zeros(2, 3).t()[1].view(-1)  # one
        x.mul_(2).add(1)  # two
    assert counter.count == 3
