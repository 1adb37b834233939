"""tools/preflight.py finds what would fail later, and names the cure."""

import ast
import os
import runpy
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "preflight.py"
GB = 10**9


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in no git repository, as the working folder of a user whose git has no settings."""
    for name in [name for name in os.environ if name.startswith("GIT_") or name == "TORCH_INDEX"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def main() -> Callable[[list[str]], int]:
    return runpy.run_path(str(SCRIPT))["main"]


def free(monkeypatch: pytest.MonkeyPatch, size: float) -> None:
    usage = namedtuple("usage", "total used free")(100 * GB, 0, size)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)


def installed(folder: Path) -> None:
    (folder / ".venv").mkdir()
    (folder / ".venv" / "done").touch()


def git(*arguments: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


def test_runs_on_a_python_that_is_too_old() -> None:
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 8))
    modules = [
        name.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    ]
    assert set(modules) <= sys.stdlib_module_names


def test_nothing_to_say(folder, main, monkeypatch, capsys) -> None:
    free(monkeypatch, 8 * GB)
    git("init", "--quiet")
    git("commit", "--allow-empty", "--message", "start")
    git("config", "user.name", "n")
    git("config", "user.email", "e@example.org")
    assert main(["--repro"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("version", "status"), [((3, 10, 9), 1), ((3, 11, 2), 0), ((3, 13, 9), 0), ((3, 14, 0), 1)])
def test_python_version(version, status, folder, main, monkeypatch, capsys) -> None:
    free(monkeypatch, 8 * GB)
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/python3.12" if name == "python3.12" else None)
    assert main([]) == status
    said = capsys.readouterr().err
    assert ("Python 3.11 to 3.13 is required" in said) == bool(status)
    assert ("PYTHON=python3.12" in said) == bool(status)


def test_python_without_ensurepip(folder, main, monkeypatch, capsys) -> None:
    free(monkeypatch, 8 * GB)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main([]) == 1
    assert f"apt install python3.{sys.version_info[1]}-venv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("platform", "index", "enough", "too_little"),
    [
        ("linux", "", 7.6, 7.4),
        ("linux", "file:///wheels", 2.6, 2.4),
        ("darwin", "", 2.6, 2.4),
    ],
)
def test_disk_space(platform, index, enough, too_little, folder, main, monkeypatch, capsys) -> None:
    monkeypatch.setenv("TORCH_INDEX", index)
    monkeypatch.setattr(sys, "platform", platform)
    free(monkeypatch, enough * GB)
    assert main([]) == 0
    free(monkeypatch, too_little * GB)
    assert main([]) == 1
    said = capsys.readouterr().err
    assert f"{too_little} GB free" in said
    assert ("TORCH_INDEX" in said) == (platform == "linux" and not index)


def test_disk_space_and_python_do_not_matter_once_installed(folder, main, monkeypatch, capsys) -> None:
    free(monkeypatch, 0)
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    installed(folder)
    assert main([]) == 0
    assert capsys.readouterr() == ("", "")


def test_index_that_does_not_exist(folder, main, monkeypatch, capsys) -> None:
    free(monkeypatch, 8 * GB)
    monkeypatch.setenv("TORCH_INDEX", "wheels")
    assert main([]) == 1
    assert "TORCH_INDEX=wheels is neither a URL nor a folder" in capsys.readouterr().err
    (folder / "wheels").mkdir()
    assert main([]) == 0


def test_every_problem_is_one_line(folder, main, monkeypatch, capsys) -> None:
    free(monkeypatch, 0)
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    assert main(["--repro"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["error", "error", "error", "warning"]


def test_folder_without_git_repository(folder, main, capsys) -> None:
    installed(folder)
    assert main([]) == 0  # tests and lint do without
    assert main(["--repro"]) == 1
    assert "`git init && git add -A && git commit -m start`" in capsys.readouterr().err


def test_repository_without_commit(folder, main, capsys) -> None:
    installed(folder)
    git("init", "--quiet")
    assert main(["--repro"]) == 1
    said = capsys.readouterr().err
    assert "no commit" in said
    assert "`git add -A && git commit -m start`" in said


def test_dvc_configured_without_git(folder, main, capsys) -> None:
    installed(folder)
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")
    assert main(["--repro"]) == 0
    assert "error" not in capsys.readouterr().err


def test_git_that_is_not_installed(folder, main, monkeypatch, capsys) -> None:
    installed(folder)
    monkeypatch.setenv("PATH", str(folder))
    assert main(["--repro"]) == 1
    assert "git is not installed" in capsys.readouterr().err


def test_missing_identity_is_a_warning(folder, main, monkeypatch, capsys) -> None:
    installed(folder)
    git("init", "--quiet")
    git("commit", "--allow-empty", "--message", "start")
    assert main(["--repro"]) == 0  # `dvc repro` needs no identity
    said = capsys.readouterr().err
    assert said.startswith("warning: ")
    assert 'git config --global user.name "Your Name"' in said
    assert "git config --global user.email" in said

    monkeypatch.setenv("GIT_COMMITTER_NAME", "n")
    assert main(["--repro"]) == 0
    said = capsys.readouterr().err
    assert "user.name" not in said
    assert "user.email" in said
