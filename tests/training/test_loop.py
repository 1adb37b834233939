import io
import math
import re
import sys

import pytest
import torch

from petseg import metrics, models, optim
from petseg.config.networks import NETWORKS
from petseg.losses import Loss
from petseg.runtime import progress
from petseg.runtime.errors import PetsegError
from petseg.training import loop, seeding
from petseg.training.distributed import World
from petseg.training.loop import snapshot
from support.trainings import PLAN, content, run, settings, squares

LOSS = Loss(entropy=1.0, dice=1.0)
SCORES = ("loss", "cross_entropy", "soft_dice", "dice")
COLUMNS = [f"{split}_{score}" for split in ("train", "valid") for score in SCORES]


def validate(network, images, trimaps, batch_size):
    return loop.validate(network, (images, trimaps), batch_size, LOSS, PLAN, World())


def scripted(monkeypatch, rows, **how):
    """Result and network of a training with given (valid loss, valid Dice), and the weights that were validated."""
    rows, states = iter(rows), []

    def validate(network, *args):
        states.append(snapshot(network))
        loss, dice = next(rows)
        return {"valid_loss": loss, "valid_cross_entropy": loss, "valid_soft_dice": 0.0, "valid_dice": dice}

    monkeypatch.setattr(loop, "validate", validate)
    return *run(**how), states


@pytest.mark.parametrize("name", NETWORKS)
def test_training_learns_and_reports_every_epoch(name):
    seen = []
    how = {f"{name}.width": 8, "on_epoch": lambda rows: seen.append(len(rows))}
    result, _ = run(name, train=squares(16), epochs=8, lr=1e-2, **how)
    assert seen == list(range(1, 9))
    assert [row["epoch"] for row in result.history] == list(range(1, 9))
    assert list(result.history[0]) == ["epoch", "lr", *COLUMNS]
    assert result.history[-1]["train_loss"] < 0.8 * result.history[0]["train_loss"]
    expected = [1e-2 * (1 + math.cos(math.pi * e / 8)) / 2 for e in range(8)]
    assert [row["lr"] for row in result.history] == pytest.approx(expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_equal_seeds_give_equal_bytes_and_another_seed_does_not(name, tmp_path):
    first, same, other = (content(run(name, epochs=2, seed=seed)[0], name, tmp_path) for seed in (1, 1, 2))
    assert first == same
    assert first[0] != other[0]
    assert first[1] != other[1]


@pytest.mark.parametrize(
    ("select", "rows"),
    [
        ("valid_dice", [(1.0, 0.2), (1.0, 0.7), (0.5, 0.7), (0.9, 0.1)]),  # the first of two equals
        ("valid_loss", [(0.5, 0.9), (0.3, 0.2), (0.3, 0.8), (0.4, 0.7)]),
    ],
)
def test_the_best_epoch_is_kept_and_not_the_last(monkeypatch, select, rows):
    result, network, states = scripted(monkeypatch, rows, epochs=4, **{"train.select": select})
    assert result.best == result.history[1]
    assert all(torch.equal(result.best_weights[key], states[1][key]) for key in result.best_weights)
    assert not all(torch.equal(result.best_weights[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize(("patience", "epochs"), [(1, 3), (2, 6), (3, 7), (4, 8), (None, 8)])
def test_early_stopping_after_patience_epochs_without_improvement(monkeypatch, patience, epochs):
    dices = [0.2, 0.5, 0.4, 0.6, 0.6, 0.5, 0.5, 0.9]  # equal is not better
    how = {} if patience is None else {"train.patience": patience}
    result, *_ = scripted(monkeypatch, [(1.0, dice) for dice in dices], epochs=8, **how)
    assert len(result.history) == epochs


def test_the_average_is_what_is_validated_and_kept(monkeypatch):
    result, network, states = scripted(monkeypatch, [(1.0, 0.1), (1.0, 0.2)], epochs=2, **{"train.ema": 0.9})
    assert all(torch.equal(result.best_weights[key], states[1][key]) for key in result.best_weights)
    last = network.state_dict()
    assert not torch.equal(last["head.weight"], result.best_weights["head.weight"])
    norms = [key for key in last if key.endswith("running_mean")]
    assert norms
    assert not any(torch.equal(last[key], result.best_weights[key]) for key in norms)


def one_step(**how):
    """The result of a single step, and all weights before and after it."""
    seeding.seed_everything(settings().seed)
    first = models.build("unet", settings())
    result, network = run(epochs=1, batch_size=10, **how)
    return result, dict(first.named_parameters()), dict(network.named_parameters())


def test_the_average_includes_every_step():
    result, first, last = one_step(**{"train.ema": 0.9})
    assert not torch.equal(first["head.weight"], last["head.weight"])
    for key, weights in last.items():  # the decay of the first step is 1 / 10
        torch.testing.assert_close(result.best_weights[key], (0.1 * first[key] + 0.9 * weights).detach())


def test_gradients_are_clipped():
    how = {"optimizer.name": "sgd", "optimizer.momentum": 0.0, "schedule.name": "constant", "lr": 0.1}
    _, first, last = one_step(**how, **{"train.clip": 0.01})
    change = torch.cat([(last[key] - first[key]).flatten() for key in first])
    assert change.norm().item() == pytest.approx(0.1 * 0.01, rel=1e-2)


def test_each_step_has_the_learning_rate_of_the_schedule(monkeypatch):
    used, set_lr = [], optim.set_lr

    def recording(optimizer, lr, freeze_encoder):
        used.append(lr)
        set_lr(optimizer, lr, freeze_encoder)

    monkeypatch.setattr(optim, "set_lr", recording)
    result, _ = run(epochs=4, lr=1e-2, **{"schedule.name": "one_cycle"})
    schedule = optim.Schedule(settings(**{"schedule.name": "one_cycle"}).schedule, 1e-2, 4, 3)
    assert used == [schedule.lr(epoch, step) for epoch in range(4) for step in range(3)]
    assert len(set(used)) == 12
    assert [row["lr"] for row in result.history] == used[::3]


def test_plateau_lowers_the_rate_when_the_validation_loss_stops_falling(monkeypatch):
    rows = [(1.0, 0.5), (2.0, 0.5), (2.0, 0.5), (2.0, 0.5)]
    how = {"schedule.name": "plateau", "schedule.patience": 1, "schedule.factor": 0.1}
    result, *_ = scripted(monkeypatch, rows, epochs=4, lr=1e-2, **how)
    assert [row["lr"] for row in result.history] == pytest.approx([1e-2, 1e-2, 1e-2, 1e-3])


def test_images_without_a_pet_do_not_choose_the_epoch():
    _, network = run(epochs=1)
    images, trimaps = squares(4, seed=4)
    trimaps[2:] = 2
    with torch.no_grad():
        network.head.bias -= 100.0  # predicts nothing
    scores = validate(network, images, trimaps, 3)
    assert (scores["valid_dice"], scores["valid_dice_nonempty"]) == (0.5, 0.0)
    assert "valid_dice_nonempty" not in validate(network, *squares(4), 3)
    better = scores | {"valid_dice": 0.4, "valid_dice_nonempty": 0.3}
    assert loop.is_better(better, scores, "valid_dice")
    assert not loop.is_better(scores, better, "valid_dice")


def test_validation_dice_is_a_mean_over_images_and_the_loss_over_batches():
    _, network = run(epochs=2)
    images, trimaps = squares(7, seed=4)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    network.eval()
    with torch.no_grad():
        network.head.bias -= network(pixels).median()  # half of all pixels are pet: no Dice is 0 or 1
        logits = network(pixels)
    truth = torch.from_numpy(trimaps != 2)[:, None].float()
    dice = metrics.image_dice(logits, truth)
    assert dice.std() > 0
    for size in (1, 3, 4, 7):
        scores = validate(network, images, trimaps, size)
        assert scores["valid_dice"] == pytest.approx(dice.mean().item(), abs=1e-4)
        losses = [LOSS(logits[at : at + size], truth[at : at + size]) * min(size, 7 - at) for at in range(0, 7, size)]
        assert scores["valid_loss"] == pytest.approx(sum(losses).item() / 7, rel=1e-4)


@pytest.mark.parametrize(("call", "words"), [(7, "train_loss is nan"), (9, "valid_loss is nan")])
def test_a_loss_that_is_not_finite_is_an_error_with_epoch_and_learning_rate(monkeypatch, call, words):
    calls, components = [], Loss.components

    def poisoned(self, sums):
        calls.append(1)  # 3 steps an epoch, and 2 batches to validate
        return components(self, sums) * (math.nan if len(calls) == call else 1)

    monkeypatch.setattr(Loss, "components", poisoned)
    with pytest.raises(PetsegError, match=f"unet: {words} in epoch 2, at learning rate 0.00225; try"):
        run(epochs=3)


def test_the_train_loss_is_a_mean_over_images(monkeypatch):
    losses = iter([1.0, 2.0, 6.0])
    value = torch.tensor([1.0, 0.5], dtype=torch.float64)
    monkeypatch.setattr(Loss, "components", lambda self, sums: sums.sum() * 0 + next(losses) * value)
    result, *_ = scripted(monkeypatch, [(1.0, 0.5)], epochs=1)  # 10 images in batches of 4, 4 and 2
    row, mean = result.history[0], (4 * 1 + 4 * 2 + 2 * 6) / 10
    assert [row[f"train_{score}"] for score in SCORES[:3]] == pytest.approx([1.5 * mean, mean, mean / 2])


def test_a_train_split_of_one_image_is_too_small():
    with pytest.raises(PetsegError, match="fewer than 2 images"):
        run(train=squares(1))


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("name", NETWORKS)
def test_a_terminal_shows_the_epochs_and_a_bar_in_80_columns(name, monkeypatch, capsys):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "_REFRESH", 0)
    run(name, epochs=2)
    shown = terminal.getvalue()
    bars = [line for line in re.split(r"[\r\n]", shown) if "|" in line]
    assert re.fullmatch(
        rf"{name}: epoch 1/2, loss \d\.\d{{3}}, \d+ images/s \|.+\| \d\d:\d\d<\d\d:\d\d",
        next(bar for bar in bars if "loss" in bar),
    )
    assert re.match(rf"{name}: epoch 2/2, valid Dice 0\.\d{{4}}, best 0\.\d{{4}}", bars[-1])
    assert max(map(len, bars)) <= 80
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert shown.endswith("\n")  # so that a message afterwards starts on a new line


def test_an_error_starts_on_a_line_of_its_own(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(PetsegError):
        run(lr=1.0, on_epoch=lambda rows: (_ for _ in ()).throw(PetsegError("stop")))
    assert terminal.getvalue().endswith("\n")


@pytest.mark.parametrize("name", NETWORKS)
def test_there_is_one_line_per_epoch_of_at_most_80_columns(name, capsys):
    run(name, epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"{name}: epoch 1/2", f"{name}: epoch 2/2"]
    assert re.match(rf"{name}: epoch 2/2, valid Dice 0\.\d{{4}}, best 0\.\d{{4}}, \d+\.\d min left", lines[1])
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", NETWORKS)
def test_two_classes_learn_too(name):
    two = {"unet.classes": 2, "resnet34_unet.classes": 2, "loss.bce": 0, "loss.cross_entropy": 1}
    result, network = run(name, train=squares(16), epochs=6, lr=1e-2, **two)
    assert network.head.out_channels == 2
    assert result.history[-1]["train_loss"] < 0.9 * result.history[0]["train_loss"]
