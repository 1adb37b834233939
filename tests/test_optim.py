import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from petseg import optim
from petseg.config.training import OptimizerParams, ScheduleParams

LR = 0.02


def optimizer_of(network, **changes):
    values = {"name": "adam", "momentum": 0.9, "weight_decay": 0.0, "decay": "l2"} | changes
    return optim.build(network, OptimizerParams(**values), LR)


def schedule_of(name, epochs, steps, **changes):
    values = {"name": name, "warm_up": 0, "patience": 2, "factor": 0.5} | changes
    return optim.Schedule(ScheduleParams(**values), LR, epochs, steps)


def rates(schedule, epochs, steps):
    return [schedule.lr(epoch, step) for epoch in range(epochs) for step in range(steps)]


def theirs(make, count):
    """The learning rates of one of torch's schedulers, stepped `count` times."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler, rates = make(optimizer), []
    for step in range(count):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < count - 1:
            scheduler.step()
    return rates


def two_layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5, bias=False), nn.BatchNorm1d(5), nn.Linear(5, 1))


def descend(network, optimizer, steps=5):
    for step in range(steps):
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        network(x).square().mean().backward()
        optimizer.step()
        yield step


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


@pytest.mark.parametrize(
    ("changes", "reference"),
    [
        ({}, lambda p: torch.optim.Adam(p, lr=LR)),
        ({"weight_decay": 0.1}, lambda p: torch.optim.Adam(p, lr=LR, weight_decay=0.1)),
        ({"weight_decay": 0.1, "decay": "decoupled"}, lambda p: torch.optim.AdamW(p, lr=LR, weight_decay=0.1)),
        ({"name": "sgd"}, lambda p: torch.optim.SGD(p, lr=LR, momentum=0.9)),
        ({"name": "sgd", "momentum": 0.0}, lambda p: torch.optim.SGD(p, lr=LR)),
        ({"name": "sgd", "weight_decay": 0.1}, lambda p: torch.optim.SGD(p, lr=LR, momentum=0.9, weight_decay=0.1)),
    ],
)
def test_steps_equal_torchs_plain_optimizers(changes, reference):
    network, other = two_layers(), two_layers()
    list(descend(network, optimizer_of(network, **changes)))
    list(descend(other, reference(other.parameters())))
    torch.testing.assert_close(weights(network), weights(other))


def test_sgd_with_decoupled_decay_is_sgdw():
    """Each step: w - lr * momentum's step - lr * weight_decay * w, with the momentum of the loss's gradient alone."""
    network, other = two_layers(), two_layers()
    list(descend(network, optimizer_of(network, name="sgd", weight_decay=0.1, decay="decoupled")))
    velocities = [torch.zeros_like(p) for p in other.parameters()]
    for _ in descend(other, nothing := torch.optim.SGD(other.parameters(), lr=0.0)):
        for w, v in zip(other.parameters(), velocities, strict=True):
            v.mul_(0.9).add_(w.grad)
            w.data -= LR * v + LR * 0.1 * w.data
    assert nothing.param_groups[0]["lr"] == 0
    torch.testing.assert_close(weights(network), weights(other))


@pytest.mark.parametrize("changes", [{}, {"name": "sgd", "weight_decay": 0.1, "decay": "decoupled"}])
def test_a_changed_rate_is_used_by_the_next_step(changes):
    network = two_layers()
    optimizer = optimizer_of(network, **changes)
    optim.set_lr(optimizer, 0.0)
    before = weights(network)
    list(descend(network, optimizer, 1))
    assert torch.equal(weights(network), before)


class Encoded(nn.Module):
    """A stem and an encoder of one layer each, and a head."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.encoder, self.head = (nn.Linear(3, 3) for _ in range(3))

    def forward(self, x):
        return self.head(self.encoder(self.stem(x)))


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_the_encoder_has_a_lower_learning_rate_or_none(name):
    def change(freeze, **options):
        network = Encoded()
        params = OptimizerParams(name=name, momentum=0.0, weight_decay=0.1, decay="decoupled")
        optimizer = optim.build(network, params, LR, **options)
        optim.set_lr(optimizer, LR, freeze)
        before = {key: value.clone() for key, value in network.state_dict().items()}
        list(descend(network, optimizer, 1))
        return {key: value - before[key] for key, value in network.state_dict().items()}

    plain, slow, frozen = change(False), change(False, encoder_lr=0.1), change(True)
    for key, value in plain.items():
        inside = not key.startswith("head.")
        torch.testing.assert_close(slow[key], value * (0.1 if inside else 1), rtol=1e-4, atol=1e-7)
        assert torch.equal(frozen[key], value * (0 if inside else 1))


def test_constant_and_cosine():
    assert rates(schedule_of("constant", 3, 2), 3, 2) == [LR] * 6
    cosine = theirs(lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=7), 7)
    assert rates(schedule_of("cosine", 7, 3), 7, 3) == pytest.approx([rate for rate in cosine for _ in range(3)])


@pytest.mark.parametrize(("epochs", "steps"), [(1, 4), (5, 3), (10, 10)])
def test_one_cycle_is_torchs(epochs, steps):
    count = epochs * steps
    expected = theirs(lambda each: lr_scheduler.OneCycleLR(each, LR, count, cycle_momentum=False), count)
    assert rates(schedule_of("one_cycle", epochs, steps), epochs, steps) == pytest.approx(expected)


def test_one_cycle_of_very_few_steps_stays_within_its_range():  # where torch's leaves it
    for epochs, steps in ((1, 1), (1, 2), (2, 1)):
        used = rates(schedule_of("one_cycle", epochs, steps), epochs, steps)
        assert all(0 < rate <= LR * (1 + 1e-12) for rate in used)


@pytest.mark.parametrize("patience", [0, 1, 2])
def test_plateau_is_torchs(patience):
    losses = [1.0, 0.9, 0.9, 0.95, 0.89995, 0.91, 0.9, 0.9, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.4]
    schedule = schedule_of("plateau", 20, 2, patience=patience, factor=0.3)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.3, patience=patience)
    lowered = set()
    for epoch, loss in enumerate(losses):
        assert schedule.lr(epoch, 1) == pytest.approx(optimizer.param_groups[0]["lr"])
        lowered.add(schedule.lr(epoch, 0))
        saved, schedule = schedule.state_dict(), schedule_of("plateau", 20, 2, patience=patience, factor=0.3)
        schedule.load_state_dict(saved)  # as a training that is resumed
        schedule.end_epoch(loss)
        scheduler.step(loss)
    assert len(lowered) > 2


@pytest.mark.parametrize("name", ["constant", "cosine", "plateau"])
def test_warm_up_is_a_line_from_zero_over_the_first_epochs(name):
    plain = rates(schedule_of(name, 6, 4), 6, 4)
    line = theirs(lambda optimizer: lr_scheduler.LinearLR(optimizer, 1 / 8, total_iters=7), 24)
    expected = [rate * part / LR for rate, part in zip(plain, line, strict=True)]
    assert rates(schedule_of(name, 6, 4, warm_up=2), 6, 4) == pytest.approx(expected)


def test_the_ema_is_torchs_after_its_warm_up():
    """In the first steps it forgets faster; from step 9 d - 1 / (1 - d) on it is torch's."""
    network = two_layers()
    ours = optim.EMA(network, 0.5)
    reference = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=True)
    optimizer = optimizer_of(network)
    for step in descend(network, optimizer, 40):
        ours.update(step + 8)  # (1 + 8) / (10 + 8) = 0.5
        if step == 0:
            reference.module.load_state_dict(ours.network.state_dict())
            reference.n_averaged += 1
        else:
            reference.update_parameters(network)
    theirs = reference.module.state_dict()
    for name, mine in ours.network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            assert mine == 40
        else:
            torch.testing.assert_close(mine, theirs[name])
            assert not torch.equal(mine, network.state_dict()[name])


def test_the_ema_forgets_the_random_start():
    weight = nn.Linear(1, 1, bias=False)
    average = optim.EMA(weight, 0.999)
    expected = weight.weight.item()
    for step in range(50):
        with torch.no_grad():
            weight.weight.fill_(step)
        average.update(step)
        part = (1 + step) / (10 + step)
        expected = part * expected + (1 - part) * step
        assert average.network.weight.item() == pytest.approx(expected, rel=1e-5)
    assert average.network.weight.item() > 30


def test_without_a_decay_the_ema_is_the_network_itself():
    network = two_layers()
    average = optim.EMA(network, None)
    average.update(3)
    assert average.network is network
    assert average.state_dict() == {}
    average.load_state_dict({})
