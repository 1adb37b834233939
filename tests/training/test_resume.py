"""A training that was stopped and resumed gives the same bytes as one that was not stopped."""

import os
import random
import time
from dataclasses import replace

import pytest
import torch

from petseg.config.networks import NETWORKS
from petseg.runtime import checkpoints
from petseg.runtime.errors import PetsegError
from petseg.runtime.signals import Interrupted
from petseg.training import loop, session
from support import forks, trainings
from support.trainings import content

BF16 = replace(trainings.PLAN, precision="bf16", channels_last=True)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("at", "plan", "width"), [*((at, trainings.PLAN, 4) for at in range(1, 13)), (8, BF16, 16), (11, BF16, 16)]
)
def test_stopped_at_any_step_and_validation(name, at, plan, width, tmp_path):
    """10 images in steps of 4, 4 and 2, and two batches to validate: 6 checks per epoch."""
    how = {"epochs": 2, "plan": plan, f"{name}.width": width}
    expected, _ = trainings.run(name, **how)
    resumed = trainings.stop_and_resume(tmp_path, at, name, **how)
    assert content(resumed, name, tmp_path) == content(expected, name, tmp_path)


CHOICES = {
    "ema": {"train.ema": 0.9, "train.clip": 0.5},
    "plateau": {
        "schedule.name": "plateau",
        "schedule.patience": 0,
        "schedule.factor": 0.1,
        "lr": 0.03,
        "seed": 1,
        "train.select": "valid_loss",
    },
    "one_cycle": {"schedule.name": "one_cycle", "optimizer.decay": "decoupled", "optimizer.weight_decay": 0.1},
    "sgd": {"optimizer.name": "sgd", "optimizer.decay": "decoupled", "optimizer.weight_decay": 0.1, "lr": 0.1},
    "progressive": {
        "train.progressive": 0.5,
        "resnet34_unet.bottleneck": "none",  # the defaults need multiples of 64
        "resnet34_unet.pool": "false",
    },
    "patience": {"train.patience": 1, "train.ema": 0.9, "schedule.name": "constant", "lr": 0.1},
}


@pytest.mark.parametrize(
    ("choice", "at"),
    [("ema", 2), ("ema", 11), ("plateau", 20), ("one_cycle", 8), ("sgd", 8), ("progressive", 14), ("patience", 11)],
)
def test_every_kind_of_training_resumes_in_the_same_bytes(choice, at, tmp_path):
    how = {"epochs": 4} | CHOICES[choice]
    expected, _ = trainings.run(**how)
    resumed = trainings.stop_and_resume(tmp_path, at, **how)
    assert content(resumed, "unet", tmp_path) == content(expected, "unet", tmp_path)
    if choice == "plateau":
        assert expected.history[-1]["lr"] < how["lr"]  # otherwise the schedule's state would not matter
    plain, _ = trainings.run(epochs=4)
    assert content(plain, "unet", tmp_path) != content(expected, "unet", tmp_path)


def test_it_says_where_it_stops_and_resumes(tmp_path, capsys):
    with pytest.raises(Interrupted) as stopped:
        trainings.run(checkpoints=trainings.checkpointer(tmp_path, watch=trainings.StopAt(2)))
    assert str(stopped.value) == "stopped by SIGTERM; run the same command again to resume from epoch 1, step 2."
    assert stopped.value.exit_status == 143
    trainings.run(checkpoints=trainings.checkpointer(tmp_path))
    assert "unet: resumes from epoch 1, step 2" in capsys.readouterr().out


def train_and_leave(folder):
    """What a killed process runs: saves after every step, leaves its bytes at the end."""
    torch.set_num_threads(1)
    checkpoints_ = trainings.checkpointer(folder / "kept", seconds=0)
    checkpoints_.store.due = lambda: True
    result, _ = trainings.run(checkpoints=checkpoints_, epochs=20)
    (folder / "done").write_bytes(b"".join(str(part).encode() for part in content(result, "unet", folder)))


def test_twenty_kills_at_random_moments_change_no_byte(tmp_path):
    context = forks.server("torch._dynamo", "petseg.training.loop")
    chance = random.Random(20)

    def start(folder):
        folder.mkdir(exist_ok=True)
        process = context.Process(target=train_and_leave, args=(folder,))
        process.start()
        return process

    start(tmp_path / "whole").join()  # first to start the fork server, then to measure the time
    trainings.checkpointer(tmp_path / "whole" / "kept").store.clear()
    begun = time.monotonic()
    start(tmp_path / "whole").join()
    length = time.monotonic() - begun
    kills = resumed = 0
    while kills < 20:
        resumed += any((tmp_path / "killed" / "kept").glob("*.ckpt"))
        process = start(tmp_path / "killed")
        process.join(timeout=chance.uniform(0, 2 * length / 20) + length / 60)
        if process.exitcode is None:
            process.kill()
            process.join()
            kills += 1
        else:  # it ended before the kill: start over
            (tmp_path / "killed" / "done").unlink()
            trainings.checkpointer(tmp_path / "killed" / "kept").store.clear()
    process = start(tmp_path / "killed")
    process.join()
    assert process.exitcode == 0
    assert resumed >= 5  # otherwise the kills came too early or too late
    assert (tmp_path / "killed" / "done").read_bytes() == (tmp_path / "whole" / "done").read_bytes()


def test_an_error_after_the_last_epoch_costs_no_training(tmp_path, monkeypatch):
    expected, _ = trainings.run(checkpoints=trainings.checkpointer(tmp_path / "kept"))
    monkeypatch.setattr(loop, "forward_backward", None)
    again, _ = trainings.run(checkpoints=trainings.checkpointer(tmp_path / "kept"))
    assert content(again, "unet", tmp_path) == content(expected, "unet", tmp_path)


def flip_a_bit(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]


@pytest.mark.parametrize("harm", [lambda data: data[: len(data) // 2], lambda data: b"", flip_a_bit])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, capsys, harm):
    store = checkpoints.Checkpoints(tmp_path, 0)
    for number in (1, 2):
        store.save({"number": number})
    for path, left in ((tmp_path / "000002.ckpt", {"number": 1}), (tmp_path / "000001.ckpt", None)):
        path.write_bytes(harm(path.read_bytes()))
        assert store.load() == left
        assert f"{path} is damaged and was removed" in capsys.readouterr().err


def test_the_newest_two_are_kept_and_numbers_continue(tmp_path):
    for number in range(1, 6):
        checkpoints.Checkpoints(tmp_path, 0).save({"number": number})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000004.ckpt", "000005.ckpt"]
    assert checkpoints.Checkpoints(tmp_path, 0).load() == {"number": 5}


def test_a_full_disk_leaves_the_last_good_checkpoint(small_disk):
    store = checkpoints.Checkpoints(small_disk / "kept", 0)
    store.save({"tensor": torch.zeros(1000)})
    with pytest.raises(PetsegError, match="The disk is full") as error:
        store.save({"tensor": torch.zeros(100_000)})
    assert "\n" not in str(error.value)
    assert [path.name for path in (small_disk / "kept").iterdir()] == ["000001.ckpt"]
    assert torch.equal(store.load()["tensor"], torch.zeros(1000))


def test_saving_is_due_after_a_while_and_never_takes_much_of_the_time(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    store = checkpoints.Checkpoints(tmp_path, 30)
    monkeypatch.setattr(checkpoints.torch, "save", lambda state, file: now.__setitem__(0, now[0] + 2))
    for seconds, due in ((29, False), (30, True)):
        now[0] = seconds
        assert store.due() == due
    store.save({})
    for seconds, due in ((32 + 99, False), (32 + 100, True)):
        now[0] = seconds
        assert store.due() == due


def test_the_fingerprint_depends_on_parameters_data_initial_weights_and_code(monkeypatch, tmp_path):
    training = trainings.settings().training("unet")
    first = session.fingerprint(training, "0")
    assert first == session.fingerprint(training, "0")
    others = [
        session.fingerprint(trainings.settings(seed=1).training("unet"), "0"),
        session.fingerprint(trainings.settings(**{"train.precision": "bf16"}).training("unet"), "0"),
        session.fingerprint(training, "1"),
        session.fingerprint(training, "0", "1"),
    ]
    edited = tmp_path / "losses.py"
    edited.write_text("# another loss")
    monkeypatch.setattr("petseg.losses.__file__", str(edited))
    others.append(session.fingerprint(training, "0"))
    assert len({first, *others}) == 6


def test_a_queued_experiment_keeps_its_checkpoints_in_the_project(monkeypatch, tmp_path):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert session.checkpoint_folder() == tmp_path / ".petseg" / "checkpoints"
    monkeypatch.delenv("DVC_ROOT")
    assert str(session.checkpoint_folder()) == ".petseg/checkpoints"


def test_checkpoints_older_than_a_month_are_removed(tmp_path):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / "old", (0, time.time() - 31 * 24 * 3600))
    checkpoints.remove_outdated(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
