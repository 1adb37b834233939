"""Signals to a real training: it saves a checkpoint and exits with one message and status."""

import multiprocessing
import os
import signal
import time
from dataclasses import replace

import pytest
import torch

from petseg.runtime import checkpoints, errors, locks, signals
from petseg.training import loop, session
from support import forks, trainings


def on_call(module, name, count, action):
    """Calls `action` before the `count`-th call of a function."""
    function, calls = getattr(module, name), []

    def counted(*args, **kwargs):
        calls.append(None)
        if len(calls) == count:
            action()
        return function(*args, **kwargs)

    setattr(module, name, counted)


def arrange(case, number):
    """Makes this process get the signal at the moment that `case` names."""

    def send():
        os.kill(os.getpid(), number)

    match case:
        case "step":
            on_call(loop, "forward_backward", 5, send)
        case "validation":
            on_call(loop, "image_dice", 1, send)
        case "waiting":
            signals.GRACE = 0.1
            held.append(locks.try_lock(session.checkpoint_folder() / "unet-0" / "lock"))
            on_call(time, "sleep", 1, send)
        case "workers":
            on_call(loop, "forward_backward", 5, lambda: os.killpg(0, number))
        case "error":
            on_call(loop, "forward_backward", 5, fail)


def fail():
    raise errors.PetsegError("unet: it failed.")


held = []  # the lock of an equal training


def train(workers):
    training, plan = trainings.settings().training("unet"), replace(trainings.PLAN, workers=workers)
    with session.open_session(training, plan, "0", None) as (world, checkpointer):
        trainings.run(plan=plan, checkpoints=checkpointer, world=world, epochs=50)


def child(folder, case, number):
    """A training with its own process group and a file for its output."""
    os.setsid()
    (folder / "group").write_text(str(os.getpid()))
    with open(folder / "output", "w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    torch.set_num_threads(1)
    multiprocessing.set_start_method("fork", force=True)  # of data-loading workers, as in a stage
    os.environ |= {"DVC_ROOT": str(folder), "PETSEG_CHECKPOINT_SECONDS": "0"}
    session.fingerprint = lambda *args: "0"
    arrange(case, number)
    errors.run(lambda: train(workers=2 if case in ("workers", "error") else 0))


def run(folder, case, number):
    """The child's exit status and the lines that it printed."""
    context = forks.server("torch._dynamo", "petseg.training.session", "petseg.training.loop")
    process = context.Process(target=child, args=(folder, case, number))
    process.start()
    process.join(timeout=120)
    if process.exitcode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
        pytest.fail(f"it did not end:\n{(folder / 'output').read_text()}")
    return process.exitcode, (folder / "output").read_text().splitlines()


def saved(folder):
    """The epoch and step of the newest checkpoint, from 1."""
    state = checkpoints.Checkpoints(folder / ".petseg/checkpoints/unet-0", 0).load()
    return state["epoch"] + 1, state["step"] + 1


@pytest.mark.parametrize("number", errors.STOPS)
@pytest.mark.parametrize(
    ("case", "where", "position"),
    [
        ("step", "epoch 2, step 3", (2, 3)),  # an epoch has 3 steps, and the fifth step was completed
        ("validation", "epoch 1, its validation", (1, 4)),
        ("workers", "epoch 2, step 3", (2, 3)),  # a terminal and a batch system send signals to all processes
    ],
)
def test_a_signal_saves_a_checkpoint(tmp_path, case, number, where, position):
    status, lines = run(tmp_path, case, number)
    assert status == 128 + number, lines
    assert lines[-1] == f"error: stopped by {number.name}; run the same command again to resume from {where}."
    assert not any("Traceback" in line for line in lines)
    assert saved(tmp_path) == position


def test_a_training_that_waits_for_an_equal_one_can_be_stopped(tmp_path):
    status, lines = run(tmp_path, "waiting", signal.SIGINT)
    assert status == 130
    assert lines[-1].startswith("error: stopped by SIGINT; ")


def test_an_error_ends_the_data_loading_workers(tmp_path):
    status, lines = run(tmp_path, "error", signal.SIGTERM)
    assert status == 1
    assert lines[-1] == "error: unet: it failed."
    with pytest.raises(ProcessLookupError):
        os.killpg(int((tmp_path / "group").read_text()), 0)
