"""stages/run.sh finds an interpreter that has the project's packages, whatever PATH is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

STAGE = """
import os, sys
print(os.environ.get("MARK"), *sys.argv)
sys.exit(7)
"""


@pytest.fixture
def project(tmp_path):
    """A project with one stage, which prints MARK and its arguments and exits with status 7."""
    folder = tmp_path / "project with a space"
    (folder / "stages").mkdir(parents=True)
    shutil.copy(ROOT / "stages/run.sh", folder / "stages")
    (folder / "stages/fake.py").write_text(STAGE)
    return folder


def interpreter(path: Path, mark: str, python: str = sys.executable) -> None:
    """Writes an executable at `path` that runs `python` with MARK set."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nMARK={mark} exec {python} "$@"\n')
    path.chmod(0o755)


@pytest.fixture
def system(tmp_path):
    """A folder for PATH that has `sh`, `dirname`, `git` and a `python3` without packages, but no `python`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "dirname", "git"):
        (folder / name).symlink_to(shutil.which(name))
    interpreter(folder / "python3", "bare", f"{sys.executable} -I -S")
    return folder


def run(project: Path, system: Path, *command: str, **env: str) -> subprocess.CompletedProcess:
    env = {"HOME": str(project), "PATH": str(system), "SHELL": "/bin/sh"} | env
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True)


RUN = ("sh", "stages/run.sh", "fake.py", "one", "two words")
ARGUMENTS = "stages/fake.py one two words"


def test_without_activation_the_projects_own_environment_is_used(project, system):
    interpreter(project / ".venv/bin/python", "own")
    done = run(project, system, *RUN)
    assert (done.stdout, done.stderr, done.returncode) == (f"own {ARGUMENTS}\n", "", 7)
    interpreter(system / "python", "foreign", f"{sys.executable} -I -S")
    assert run(project, system, *RUN).stdout == f"own {ARGUMENTS}\n"


def test_the_order_of_interpreters(project, system, tmp_path):
    interpreter(system / "python3", "python3")
    assert run(project, system, *RUN).stdout == f"python3 {ARGUMENTS}\n"
    interpreter(tmp_path / "main/.venv/bin/python", "main")  # of a project whose queue runs this experiment
    assert run(project, system, *RUN, DVC_ROOT=str(tmp_path / "main")).stdout == f"main {ARGUMENTS}\n"
    interpreter(project / ".venv/bin/python", "own")
    assert run(project, system, *RUN).stdout == f"own {ARGUMENTS}\n"
    interpreter(system / "python", "activated")
    assert run(project, system, *RUN).stdout == f"activated {ARGUMENTS}\n"


def test_without_any_suitable_interpreter_it_is_an_error(project, system):
    done = run(project, system, *RUN)
    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr.startswith("error: no Python interpreter with the project's packages was found; run `make")
    assert done.stderr.count("\n") == 1


def test_dvc_runs_a_stage_without_activation(project, system):
    interpreter(project / ".venv/bin/python", "own")
    (project / "stages/fake.py").write_text(STAGE.replace("7", "0"))
    (project / "dvc.yaml").write_text("stages:\n  fake:\n    cmd: sh stages/run.sh fake.py\n")
    dvc = str(Path(sys.executable).parent / "dvc")
    assert run(project, system, "git", "init", "--quiet").returncode == 0
    assert run(project, system, dvc, "init", "--quiet").returncode == 0
    done = run(project, system, dvc, "repro")
    assert "own stages/fake.py\n" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_a_stage_reports_an_interpreter_without_packages():
    done = subprocess.run([sys.executable, "-E", "-S", ROOT / "stages/split.py"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "does not have the project's packages (albumentations, psutil, torch); activate" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_stage_refuses_an_invalid_environment_variable_before_its_imports(tmp_path):
    (tmp_path / "pandas.py").write_text("raise AssertionError")
    env = os.environ | {"PETSEG_PROCESSES": "abc", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, ROOT / "stages/split.py"], env=env, capture_output=True, text=True)
    assert done.stderr == "error: PETSEG_PROCESSES is 'abc'; set it to a whole number from 1 to 64, or unset it.\n"
    assert done.returncode == 1
