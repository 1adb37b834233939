"""The checks of `petseg doctor`, each where it finds something and where it does not."""

import hashlib
import os
import re
import shutil
from collections import namedtuple
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from petseg.doctor import checks, command, facts
from petseg.runtime.errors import PetsegError
from support.paths import COMMITTED, ROOT


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """A project's top folder, in no git repository, of a user without settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PETSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for name in ("params.yaml", "dvc.yaml", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / checks.PREFLIGHT, tmp_path / "tools")
    return tmp_path


def tool(folder: Path, name: str, text: str, monkeypatch) -> None:
    """Puts a command on the PATH that prints `text`."""
    (folder / name).write_text(f"#!/bin/sh\necho '{text}'\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_git_is_checked_as_before_the_installation():
    status, text = checks.git()
    assert (status, "`git init" in text) == ("error", True)


@pytest.mark.parametrize(("number", "status"), [("3.66.9", "error"), ("3.67.0", "ok"), ("4.0", "ok"), ("?", "error")])
def test_an_old_dvc_is_an_error(folder, monkeypatch, number, status):
    tool(folder, "dvc", number, monkeypatch)
    found, text = checks.dvc()
    assert found == status
    assert str(folder / "dvc") in text


def test_the_oldest_dvc_is_that_of_the_requirements():
    required = re.search(r'"dvc\[ssh\]>=([\d.]+)"', (ROOT / "pyproject.toml").read_text())[1]
    assert tuple(map(int, required.split("."))) == checks.OLDEST_DVC


@pytest.mark.skipif(os.getuid() == 0, reason="root can write everywhere")
def test_a_folder_that_cannot_hold_locks_is_an_error(folder, monkeypatch):
    (folder / "locks").mkdir(mode=0o500)
    monkeypatch.setenv("PETSEG_LOCKS", str(folder / "locks"))
    assert checks.environment()[0] == "error"


def test_a_folder_of_locks_is_left_as_it_was(folder, monkeypatch):
    (folder / "locks").mkdir()
    monkeypatch.setenv("PETSEG_LOCKS", str(folder / "locks"))
    status, text = checks.environment()
    assert status == "ok"
    assert f"PETSEG_LOCKS={folder / 'locks'}" in text
    assert os.listdir(folder / "locks") == []


def test_a_file_in_place_of_an_output_folder_is_an_error(folder):
    (folder / "plots").mkdir()
    assert checks.folders()[0] == "ok"
    (folder / "models").touch()
    assert checks.folders() == ("error", "models: a file, but the stages need a folder there; rename it")


@pytest.mark.parametrize(("free", "status"), [(6, "ok"), (2, "warning"), (0.1, "error")])
def test_disk_space(monkeypatch, free, status):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("usage", "free")(free * 1e9))
    assert checks.disk()[0] == status


@pytest.mark.parametrize(("free", "gpu", "status"), [(2, True, "ok"), (0.06, True, "warning"), (0.06, False, "ok")])
def test_shared_memory_matters_for_a_gpu(folder, monkeypatch, free, gpu, status):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("usage", "free")(free * 1e9))
    tool(folder, "nvidia-smi", "H100, 80 GiB, 570.1", monkeypatch) if gpu else monkeypatch.setenv("PATH", "")
    assert checks.shared_memory()[0] == status


@pytest.mark.parametrize(
    ("count", "cuda", "status", "words"),
    [
        (1, "12.8", "ok", "H100, 80 GiB, 570.1"),
        (0, "12.8", "warning", "the driver may be too old for CUDA 12.8"),
        (0, None, "warning", "this PyTorch was built without CUDA"),
    ],
)
def test_a_gpu_that_pytorch_cannot_use_is_a_warning(folder, monkeypatch, count, cuda, status, words):
    tool(folder, "nvidia-smi", "H100, 80 GiB, 570.1", monkeypatch)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    found, text = checks.gpu()
    assert (found, words in text) == (status, True)


def test_archives_are_complete_damaged_incomplete_or_not_there(folder):
    good = hashlib.md5(b"good").hexdigest()
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(re.sub(r"(images|annotations): [0-9a-f]{32}", rf"\1: {good}", text))
    assert checks.archives()[0] == "ok"
    cache = folder / "cache"
    cache.mkdir()
    (cache / f"{good}-images.tar.gz").write_bytes(b"good")
    (cache / f".{good}-annotations.tar.gz.part").write_bytes(bytes(300_000))
    status, text = checks.archives()
    assert status == "ok"
    assert f"{cache / good}-images.tar.gz is complete" in text
    assert "annotations.tar.gz is incomplete, 0.3 MB" in text
    (cache / f"{good}-annotations.tar.gz").write_bytes(b"bad")
    status, text = checks.archives()
    assert status == "warning"
    assert f"{cache / good}-annotations.tar.gz does not have its MD5" in text


def test_only_problems_are_printed_if_asked_and_an_error_remains_an_error(folder, capsys, monkeypatch):
    for name in list(command.BEFORE_REPRO):
        if name != "folders":
            monkeypatch.setitem(command.BEFORE_REPRO, name, lambda: ("ok", "well"))
    command.run(quiet=True)
    assert capsys.readouterr().out == ""
    (folder / "data").touch()
    with pytest.raises(PetsegError, match=r"^folders: see above"):
        command.run(quiet=True)
    assert capsys.readouterr().out.startswith("error    folders: data: a file, but")


def test_an_error_of_a_check_is_its_line(folder, capsys, monkeypatch):
    (folder / "params.yaml").write_text("lr: [")
    with pytest.raises(PetsegError, match="parameters"):
        command.run(quiet=True)
    assert "error    parameters: params.yaml is not valid YAML, line 1: " in capsys.readouterr().out


def test_outside_a_project_it_is_an_error(folder, monkeypatch):
    monkeypatch.chdir(folder / "tools")
    with pytest.raises(PetsegError, match=r"has no dvc\.yaml and params\.yaml; run this in the top folder"):
        command.run()


def test_a_bug_report_has_system_versions_and_changed_parameters(folder, monkeypatch):
    monkeypatch.setattr(facts, "default_text", COMMITTED.read_text)
    assert "parameters  as committed" in facts.table()
    text = re.sub(r"(?m)^seed: \d+", "seed: 7", (folder / "params.yaml").read_text())
    (folder / "params.yaml").write_text(text)
    (folder / "requirements.txt").write_text("torch==0.1\n")
    table = facts.table()
    assert re.search(r"(?m)^parameters  seed \d+ -> 7$", table)
    assert f"torch {version('torch')} (requirements.txt: 0.1)" in table
    assert [line.split()[0] for line in table.splitlines()] == [
        "petseg",
        "commit",
        "parameters",
        "system",
        "processor",
        "python",
        "packages",
    ]
