"""Signals at every kind of moment, in small processes that imitate a training; tests/training has a real one."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from petseg.runtime import errors, signals
from support.paths import ROOT

CHILD = """
import ctypes, os, signal, sys, threading, time
from pathlib import Path
from petseg.runtime import errors, signals

def send():
    os.kill(os.getpid(), NUMBER)

def block():
    '''Waits forever in C, as in a long step: Python calls no signal handler.'''
    mutex = ctypes.create_string_buffer(64)
    for _ in range(2):
        ctypes.CDLL(None).pthread_mutex_lock(mutex)

class Lock:
    '''A lock that records that the thread of the watch waits for it.'''
    def __init__(self):
        self.lock, self.wanted = threading.Lock(), threading.Event()
    def __enter__(self):
        if threading.current_thread() is not threading.main_thread():
            self.wanted.set()
        self.lock.acquire()
    def __exit__(self, *error):
        self.lock.release()

def main():
    with signals.watch() as watch:
        BODY
        raise signals.Interrupted(watch.signal, "epoch 2, step 3")

errors.run(main)
"""
STEP = "send()"
TWICE = "send(); send()"
LONG_STEP = "signals.GRACE = 0.1; threading.Thread(target=send).start(); block()"
SAVING = """signals.GRACE = 0; watch._saving = lock = Lock()
        with watch.saving():
            send(); lock.wanted.wait(); Path("checkpoint").write_text("complete")
        block()"""


def child(code: str, **values: object) -> list[str]:
    """The command of a process that runs `code` with some names replaced."""
    for name, value in values.items():
        code = code.replace(name, str(value))
    return [sys.executable, "-c", code]


def run(folder: Path, body: str, number: int) -> tuple[int, str]:
    """The exit status and the output of a process that runs `body` within a watch."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "timeout": 120}
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(child(CHILD, BODY=body, NUMBER=int(number)), cwd=folder, env=env, **options)
    return done.returncode, done.stdout


@pytest.mark.parametrize("number", errors.STOPS)
@pytest.mark.parametrize(
    ("body", "where"),
    [(STEP, "epoch 2, step 3"), (TWICE, "epoch 2, step 3"), (LONG_STEP, "its last checkpoint")],
    ids=["step", "twice", "long step"],
)
def test_a_signal_ends_a_training_with_one_message(tmp_path, number, body, where):
    message = f"error: stopped by {number.name}; run the same command again to resume from {where}.\n"
    assert run(tmp_path, body, number) == (128 + number, message)


def test_a_checkpoint_is_completed_after_the_grace_period(tmp_path):
    status, output = run(tmp_path, SAVING, signal.SIGTERM)
    assert (status, output.count("stopped by SIGTERM")) == (143, 1)
    assert (tmp_path / "checkpoint").read_text() == "complete"


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
