"""The lock file of DVC; tests/pipeline/test_doctor.py kills a real `dvc`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from petseg.doctor import dvc_lock
from petseg.runtime.locks import try_lock


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    return tmp_path / ".dvc/tmp/rwlock"


def entry(pid: int) -> dict:
    return {"pid": pid, "cmd": "dvc repro"}


def dead_pid() -> int:
    return next(pid for pid in range(100_000, 4_000_000) if not psutil.pid_exists(pid))


def test_without_the_file_nothing_is_wrong(file):
    assert dvc_lock.check()[0] == "ok"


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"read": {}, "write": {}},
        {"write": {"data/raw": entry(dead_pid())}, "read": {"src": [entry(dead_pid())]}},  # DVC drops these itself
    ],
    ids=["empty", "no entries", "dead"],
)
def test_a_file_that_dvc_can_use_is_kept(file, content):
    file.write_text(json.dumps(content))
    assert dvc_lock.check()[0] == "ok"
    assert file.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "was empty"),
        ("\0" * 20, "was damaged"),
        ('{"write": {"da', "was damaged"),
        ("[]", "was damaged"),
        ('{"write": {"a": 3}}', "was damaged"),
        ('{"read": {"a": [{}]}}', "was damaged"),
        (json.dumps({"write": {"a": entry(os.getpid())}}), f"named process {os.getpid()}, which is not dvc"),
        (json.dumps({"read": {"a": [entry(os.getpid())]}}), f"named process {os.getpid()}, which is not dvc"),
    ],
    ids=["empty", "zeros", "half", "list", "number", "no-pid", "foreign-writer", "foreign-reader"],
)
def test_a_file_that_stops_dvc_is_removed(file, text, words):
    file.write_text(text)
    status, said = dvc_lock.check()
    assert (status, words in said) == ("warning", True)
    assert not file.exists()
    assert dvc_lock.check()[0] == "ok"


def test_while_dvc_edits_the_file_it_is_left_alone(file):
    file.write_text("")
    with try_lock(file.with_name("rwlock.lock")):
        assert dvc_lock.check()[0] == "ok"
        assert file.exists()


def test_while_dvc_runs_here_a_damaged_file_is_an_error_and_is_kept(file, tmp_path):
    file.write_text("")
    (tmp_path / "dvc").write_text("print(flush=True); input()")
    command = [sys.executable, str(tmp_path / "dvc")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        status, said = dvc_lock.check()
        assert (status, f"dvc runs (PID {process.pid})" in said) == ("error", True)
        assert file.exists()
        file.write_text(json.dumps({"write": {"a": entry(process.pid)}}))
        assert dvc_lock.check()[0] == "ok"
        process.communicate(b"\n")
