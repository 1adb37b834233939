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
def check(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Runs the script with 8 GB of free disk space by default; returns what it says, which is empty if all is well."""
    main = runpy.run_path(str(SCRIPT))["main"]

    def run(*arguments: str, free: float = 8) -> str:
        usage = namedtuple("usage", "total used free")(100 * GB, 0, free * GB)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
        status, (out, said) = main(list(arguments)), capsys.readouterr()
        assert out == ""
        assert status == ("error: " in said)
        return said

    return run


@pytest.fixture
def installed(folder: Path) -> None:
    (folder / ".venv").mkdir()
    (folder / ".venv" / "done").touch()


def git(*arguments: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


def test_runs_on_a_python_that_is_too_old() -> None:
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 8))
    imports = [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    assert {name.split(".")[0] for name in imports} <= sys.stdlib_module_names


def test_nothing_to_say(check) -> None:
    git("init", "--quiet")
    git("commit", "--allow-empty", "--message", "start")
    git("config", "user.name", "n")
    git("config", "user.email", "e@example.org")
    assert check("--repro") == ""


@pytest.mark.parametrize(("version", "wrong"), [((3, 10, 9), 1), ((3, 11, 2), 0), ((3, 13, 9), 0), ((3, 14, 0), 1)])
def test_python_version(version, wrong, check, monkeypatch) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/python3.12" if name == "python3.12" else None)
    said = check()
    assert ("Python 3.11 to 3.13 is required" in said) == bool(wrong)
    assert ("PYTHON=python3.12" in said) == bool(wrong)


def test_python_without_ensurepip(check, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert f"apt install python3.{sys.version_info[1]}-venv" in check()


@pytest.mark.parametrize(
    ("platform", "index", "enough", "too_little"),
    [("linux", "", 7.6, 7.4), ("linux", "file:///wheels", 2.6, 2.4), ("darwin", "", 2.6, 2.4)],
)
def test_disk_space(platform, index, enough, too_little, check, monkeypatch) -> None:
    monkeypatch.setenv("TORCH_INDEX", index)
    monkeypatch.setattr(sys, "platform", platform)
    assert check(free=enough) == ""
    said = check(free=too_little)
    assert f"{too_little} GB free" in said
    assert ("TORCH_INDEX" in said) == (platform == "linux" and not index)


def test_disk_space_and_python_do_not_matter_once_installed(installed, check, monkeypatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    assert check(free=0) == ""


def test_index_that_does_not_exist(folder, check, monkeypatch) -> None:
    monkeypatch.setenv("TORCH_INDEX", "wheels")
    assert "TORCH_INDEX=wheels is neither a URL nor a folder" in check()
    (folder / "wheels").mkdir()
    assert check() == ""


def test_every_problem_is_one_line(check, monkeypatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    lines = check("--repro", free=0).splitlines()
    assert [line.split(":")[0] for line in lines] == ["error", "error", "error", "warning"]


def test_folder_without_git_repository_or_commit(installed, check) -> None:
    assert check() == ""  # tests and lint do without
    assert "`git init && git add -A && git commit -m start`" in check("--repro")
    git("init", "--quiet")
    assert "has no commit, so results could not be traced: type `git add -A && git commit -m start`" in check("--repro")


def test_dvc_configured_without_git(folder, installed, check) -> None:
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")
    assert "error" not in check("--repro")


def test_git_that_is_not_installed(folder, installed, check, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert "git is not installed" in check("--repro")


def test_missing_identity_is_a_warning(installed, check, monkeypatch) -> None:
    git("init", "--quiet")
    git("commit", "--allow-empty", "--message", "start")
    said = check("--repro")  # `dvc repro` needs no identity
    assert said.startswith("warning: ")
    assert 'git config --global user.name "Your Name"' in said
    assert "git config --global user.email" in said
    monkeypatch.setenv("GIT_COMMITTER_NAME", "n")
    said = check("--repro")
    assert "user.name" not in said
    assert "user.email" in said
