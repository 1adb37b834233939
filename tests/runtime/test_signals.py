"""Signals to a training at every kind of moment: it saves, and ends with one sentence and a status that tells."""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from petseg import models
from petseg.batches.augment import Augment
from petseg.batches.train import Samples
from petseg.runtime import checkpoints, errors, signals
from petseg.training import loop, session
from support import forks, trainings

ROOT = Path(__file__).resolve().parents[2]
LIBC = ctypes.CDLL(None)


def block():
    """Waits for ever inside C, as a long step does: none of Python's signal handlers runs meanwhile."""
    mutex = ctypes.create_string_buffer(64)
    LIBC.pthread_mutex_lock(mutex)
    LIBC.pthread_mutex_lock(mutex)


def on_call(module, name, count, action):
    """Does something before the `count`-th call of a function."""
    function, calls = getattr(module, name), []

    def counted(*args, **kwargs):
        calls.append(None)
        if len(calls) == count:
            action()
        return function(*args, **kwargs)

    setattr(module, name, counted)


def arrange(case, number):
    """Makes this process get the signal at the moment that `case` names."""

    def now():
        os.kill(os.getpid(), number)

    def long_step():
        threading.Timer(0.3, now).start()
        block()

    def long_save():
        now()
        time.sleep(1)

    match case:
        case "step":
            on_call(loop.Step, "__call__", 5, now)
        case "twice":
            on_call(loop.Step, "__call__", 5, lambda: (now(), now()))
        case "validation":
            on_call(loop, "image_dice", 1, now)
        case "saving":
            signals.GRACE = 0.1
            on_call(checkpoints.os, "fsync", 1, long_save)
        case "long step":
            on_call(loop.Step, "__call__", 5, long_step)
        case "waiting":
            held.append(checkpoints._try_lock(checkpoints.home() / "unet-0"))
            on_call(checkpoints, "_try_lock", 2, now)
        case "workers":
            on_call(loop.Step, "__call__", 5, lambda: os.killpg(0, number))
        case "error":
            on_call(loop.Step, "__call__", 5, lambda: loop.check_finite(torch.tensor(float("nan"))[None], "unet", 0, 1))


held = []  # the lock of an equal training


def train(workers):
    settings = trainings.settings(epochs=50)
    training, plan = settings.training("unet"), replace(trainings.PLAN, workers=workers)
    network = models.build("unet", settings)
    samples = Samples(*trainings.squares(10), Augment("a", 64), training.seed)
    with session.session(training, plan, "0") as keep:
        loop.train(network, samples, trainings.squares(5, seed=1), training, plan, keep, lambda rows: None)


def child(folder, case, number):
    """A training with a process group and a file for its output."""
    os.setsid()
    with open(folder / "output", "w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    torch.set_num_threads(1)
    multiprocessing.set_start_method("fork", force=True)  # of data workers: as in a process that was not forked itself
    os.environ |= {"DVC_ROOT": str(folder), "PETSEG_CHECKPOINT_SECONDS": "0"}
    checkpoints.fingerprint = lambda *args: "0"
    arrange(case, number)
    errors.run(lambda: train(workers=2 if case in ("workers", "error") else 0))


def run(folder, case, number):
    """The child's exit status, the seconds that it took, and what it printed."""
    context = forks.server("torch._dynamo", "petseg.batches.augment", "petseg.training.session", "petseg.training.loop")
    process = context.Process(target=child, args=(folder, case, number))
    begun = time.monotonic()
    process.start()
    process.join(timeout=30)
    seconds = time.monotonic() - begun
    if process.exitcode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
        pytest.fail(f"it did not end:\n{(folder / 'output').read_text()}")
    return process.exitcode, seconds, (folder / "output").read_text()


def saved(folder):
    """Where the newest checkpoint stands, as epoch and step from 1."""
    state = checkpoints.Checkpoints(folder / ".petseg/checkpoints/unet-0", 0).load()
    return state["epoch"] + 1, state["step"] + 1


@pytest.mark.parametrize("number", errors.STOPS)
@pytest.mark.parametrize(
    ("case", "where", "stands"),
    [
        ("step", "epoch 2, step 3", (2, 3)),  # of 3 an epoch: the fifth has been done
        ("twice", "epoch 2, step 3", (2, 3)),
        ("validation", "epoch 1, its validation", (1, 4)),
    ],
)
def test_a_signal_saves_and_ends_with_a_sentence(tmp_path, case, number, where, stands):
    status, _, said = run(tmp_path, case, number)
    assert status == 128 + number
    assert said.splitlines()[-1] == f"error: stopped by {number.name}; the same command goes on from {where}."
    assert said.count("stopped by") == 1
    assert saved(tmp_path) == stands


def test_a_checkpoint_that_is_being_written_becomes_whole(tmp_path):
    status, seconds, said = run(tmp_path, "saving", signal.SIGTERM)
    assert (status, seconds > 1) == (143, True)
    assert said.count("stopped by SIGTERM") == 1
    assert saved(tmp_path) >= (1, 1)
    assert not list(tmp_path.rglob("*.part"))


def test_a_step_that_takes_long_is_not_waited_for(tmp_path):
    status, seconds, said = run(tmp_path, "long step", signal.SIGTERM)
    assert status == 143
    assert 4 < seconds < 10
    assert said.splitlines()[-1] == "error: stopped by SIGTERM; the same command goes on from its last checkpoint."
    assert (1, 1) <= saved(tmp_path) <= (2, 2)


def test_one_that_waits_for_an_equal_training_ends_too(tmp_path):
    status, seconds, said = run(tmp_path, "waiting", signal.SIGINT)
    assert (status, seconds < 10) == (130, True)
    assert said.splitlines()[0] == "another process trains exactly this; waiting for it to end"
    assert said.splitlines()[1].startswith("error: stopped by SIGINT")


@pytest.mark.parametrize("number", errors.STOPS)
def test_a_signal_to_data_workers_too(tmp_path, number):
    """As a terminal sends Ctrl-C, and a batch system SIGTERM: to all processes."""
    status, _, said = run(tmp_path, "workers", number)
    assert status == 128 + number, said
    assert said.splitlines()[-1].startswith(f"error: stopped by {number.name}; the same command goes on from epoch 2")
    assert "Traceback" not in said
    assert saved(tmp_path) == (2, 3)


def test_an_error_ends_the_data_workers(tmp_path):
    status, seconds, said = run(tmp_path, "error", signal.SIGTERM)
    assert (status, seconds < 10) == (1, True)
    assert said.splitlines()[-1].startswith("error: unet: the loss is nan")


@pytest.mark.parametrize("number", errors.STOPS)
def test_during_the_imports_of_a_stage(tmp_path, number):
    (tmp_path / "pandas.py").write_text(f"import os, time\nos.kill(os.getpid(), {number:d})\ntime.sleep(60)\n")
    script = [sys.executable, str(ROOT / "stages/train.py"), "unet"]
    done = subprocess.run(script, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 128 + number
    assert done.stderr == f"error: stopped by {number.name}; run the same command again.\n"


def test_the_watch_leaves_everything_as_it_was():
    before = [signal.getsignal(number) for number in errors.STOPS]
    files, threads = os.listdir("/proc/self/fd"), threading.active_count()
    with signals.watch() as watch:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert watch.signal == signal.SIGTERM
    assert [signal.getsignal(number) for number in errors.STOPS] == before
    assert signal.set_wakeup_fd(-1) == -1
    assert (os.listdir("/proc/self/fd"), threading.active_count()) == (files, threads)
