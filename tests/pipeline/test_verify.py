"""`petseg verify` with the real `dvc`, in a project whose only stage writes scores that its parameters name."""

import shutil
import sys

import pytest

from support.paths import ROOT
from support.project import Project

STAGE = """
import json, os, pathlib, sys
os.makedirs("metrics", exist_ok=True), os.makedirs("models", exist_ok=True)
dice = float(pathlib.Path("own/dice.txt").read_text())
pathlib.Path("metrics/test.json").write_text(json.dumps({"unet": {"dice": dice}}))
pathlib.Path("models/unet.safetensors").write_text("weights")
pathlib.Path("models/unet.run.json").write_text(json.dumps({"device_name": "Abacus", "torch": "2.0"}))
"""
PIPELINE = """
stages:
  evaluate:
    cmd: python stage.py
    deps: [stage.py, own]
    outs: [models/unet.safetensors, models/unet.run.json]
    metrics: [metrics/test.json: {cache: false}]
"""


@pytest.fixture
def project(tmp_path):
    """A project with a committed result, whose data git does not have."""
    project = Project(tmp_path / "project", tmp_path / "site")
    (project.folder / "own").mkdir(parents=True)
    (project.folder / "own/dice.txt").write_text("0.93")
    text = (ROOT / "params.yaml").read_text().replace("source: synthetic", "source: folder", 1)
    files = {"params.yaml": text, "dvc.yaml": PIPELINE, "stage.py": STAGE, ".gitignore": "/own\n/models\n"}
    for name, content in files.items():
        (project.folder / name).write_text(content)
    project.git("init", "--quiet", "--initial-branch", "main")
    project.dvc("init", "--quiet")
    shutil.copy(ROOT / ".dvc/config", project.folder / ".dvc")
    project.dvc("repro")
    project.commit("results")
    yield project
    project.close()


def state(project):
    """The time of the last change of every file but git's and DVC's own."""
    files = (path for path in project.folder.rglob("*") if not {".git", "tmp"} & {*path.parts})
    return {path: path.stat().st_mtime_ns for path in files if path.is_file()}


def verify(project, status):
    command = (sys.executable, "-m", "petseg", "verify")
    return project.run(*command, status=status, PYTHONPATH=f"{ROOT / 'src'}:{project.site}")


def test_equal_bytes_and_then_other_data(project):
    before = state(project)
    said = verify(project, 0)
    short = project.git("rev-parse", "HEAD")[:7]
    assert f"HEAD ({short}) is reproduced: all 2 files have equal bytes." in said
    assert said.count("Abacus") == 2
    assert state(project) == before
    assert project.git("status", "--porcelain") == ""
    (project.folder / "own/dice.txt").write_text("0.5")
    said = verify(project, 1)
    assert "metrics/test.json        different: unet.dice was 0.93, is 0.5" in said
    assert "not reproduced: 1 equal bytes, 1 different." in said
    assert "ten seeds in benchmarks/precision.md: 0.023 for scores up to 1" in said
