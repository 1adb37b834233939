"""Signals at every kind of moment, in small processes that imitate a training; tests/training has a real one."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading

import pytest

from petseg.runtime import errors, signals
from support.paths import ROOT

CHILD = """
import ctypes, os, signal, sys, threading, time
from petseg.runtime import errors, signals

def send():
    os.kill(os.getpid(), NUMBER)

def block():
    '''Waits forever in C, as in a long step: Python calls no signal handler.'''
    mutex = ctypes.create_string_buffer(64)
    for _ in range(2):
        ctypes.CDLL(None).pthread_mutex_lock(mutex)

def main():
    with signals.watch() as watch:
        BODY
        raise signals.Interrupted(watch.signal, "epoch 2, step 3")

errors.run(main)
"""
STEP = "send()"
TWICE = "send(); send()"
LONG_STEP = "signals.GRACE = 0.1; threading.Thread(target=send).start(); block()"


@pytest.mark.parametrize("number", errors.STOPS)
@pytest.mark.parametrize(
    ("body", "where"),
    [(STEP, "epoch 2, step 3"), (TWICE, "epoch 2, step 3"), (LONG_STEP, "its last checkpoint")],
    ids=["step", "twice", "long step"],
)
def test_a_signal_ends_a_training_with_one_message(number, body, where):
    command = [sys.executable, "-c", CHILD.replace("BODY", body).replace("NUMBER", str(int(number)))]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "timeout": 120}
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, **options)
    assert done.returncode == 128 + number
    assert done.stdout == f"error: stopped by {number.name}; run the same command again to resume from {where}.\n"


def test_a_checkpoint_is_completed_after_the_grace_period(monkeypatch, capsys):
    exits = queue.Queue()
    monkeypatch.setattr(signals, "GRACE", 0)
    monkeypatch.setattr(signals.os, "_exit", exits.put)
    with signals.watch() as watch:
        with watch.saving():
            os.kill(os.getpid(), signal.SIGTERM)
            with pytest.raises(queue.Empty):
                exits.get(timeout=0.3)
        assert exits.get(timeout=60) == 143
    assert capsys.readouterr().err.endswith("run the same command again to resume from its last checkpoint.\n")


def test_the_watch_restores_everything():
    before = [signal.getsignal(number) for number in errors.STOPS]
    files, threads = os.listdir("/proc/self/fd"), threading.active_count()
    with signals.watch() as watch:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert watch.signal == signal.SIGTERM
    assert [signal.getsignal(number) for number in errors.STOPS] == before
    assert signal.set_wakeup_fd(-1) == -1
    assert (os.listdir("/proc/self/fd"), threading.active_count()) == (files, threads)


@pytest.mark.parametrize("number", errors.STOPS)
def test_a_signal_during_the_imports_of_a_stage(tmp_path, number):
    (tmp_path / "torch.py").write_text(f"import os, time\nos.kill(os.getpid(), {number:d})\ntime.sleep(600)\n")
    script = [sys.executable, str(ROOT / "stages/train.py"), "unet"]
    done = subprocess.run(script, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 128 + number
    assert done.stderr == f"error: stopped by {number.name}; run the same command again.\n"


FOLLOWER = """
import signal, sys
from petseg.runtime import signals
signal.signal(signal.SIGTERM, lambda *args: sys.exit("SIGTERM came"))
signals.follow_dvc()
print("started", flush=True)
while True:
    signal.pause()
"""
THROUGH_A_SHELL = """subprocess.run(["sh", "-c", '"$@"; true', "sh", *sys.argv[1:]])"""
DIRECTLY = "subprocess.run(sys.argv[1:])"


@pytest.mark.parametrize(
    ("starter", "start", "variable", "name"),
    [("dvc", THROUGH_A_SHELL, "DVC_STAGE", "dvc"), ("agent", DIRECTLY, "TORCHELASTIC_RUN_ID", "launcher")],
)
def test_the_death_of_dvc_or_torchrun_stops_a_stage(tmp_path, starter, start, variable, name):
    (tmp_path / starter).write_text(f"import subprocess, sys\n{start}")
    command = [sys.executable, str(tmp_path / starter), sys.executable, "-c", FOLLOWER]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src"), variable: "train_unet"}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
    with subprocess.Popen(command, env=env, **options) as process:
        try:
            assert process.stdout.readline() == "started\n"
            process.kill()
            output, _ = process.communicate(timeout=120)  # until the stage and the shell have ended
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    message = f"stopping, because the {name} that started this process has died"
    assert sorted(output.splitlines()) == ["SIGTERM came", message]


def test_without_dvc_a_stage_follows_no_process(monkeypatch):
    threads = threading.active_count()
    monkeypatch.delenv("DVC_STAGE", raising=False)
    signals.follow_dvc()
    monkeypatch.setenv("DVC_STAGE", "train_unet")
    monkeypatch.setattr(signals.psutil.Process, "parents", lambda process: [signals.psutil.Process()])
    signals.follow_dvc()
    assert threading.active_count() == threads
