"""Recipes run by the real `dvc`, in a project with one cheap stage that shows its parameters."""

import shutil

import pytest

from petseg.config import params
from support.paths import ROOT
from support.project import Project, ran

COPYING = "stages: {copy: {cmd: cp params.yaml seen.yaml, params: [%s], metrics: [seen.yaml: {cache: false}]}}\n"


def petseg(project, *arguments):
    """Runs the command `petseg` with the project's own code, not the installed one."""
    return project.run("python", "-m", "petseg", *arguments, PYTHONPATH=str(project.folder / "src"))


@pytest.fixture
def copying(tmp_path):
    """A project whose only stage copies params.yaml."""
    project = Project(tmp_path / "project", tmp_path / "site")
    project.folder.mkdir()
    for name in ("params.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, project.folder)
    for name in ("src", "recipes"):
        shutil.copytree(ROOT / name, project.folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    (project.folder / "dvc.yaml").write_text(COPYING % ", ".join(params.KEYS))
    odd = "data: {url: ['file:///a b', 'https://x.org/~me/a,b?c=d&e'], path: 'it''s, [odd]: {x}'}\nlr: 1e-5\n"
    (project.folder / "recipes/odd.yaml").write_text(odd + "unet: {lr: 1e-3}\ntrain: {deterministic: false}\n")
    project.git("init", "--quiet", "--initial-branch", "main")
    project.dvc("init", "--quiet")
    shutil.copy(ROOT / ".dvc/config", project.folder / ".dvc")
    project.commit("all")
    yield project
    project.close()


def test_the_values_of_a_recipe_arrive_as_apply_writes_them_and_run_once(copying):
    file = copying.folder / "params.yaml"
    for name in ("odd", "d"):
        expected = params.load(file, recipe=name)
        assert ran(petseg(copying, "recipe", "run", name)) == ["copy"]
        assert params.load(file) == params.load(copying.folder / "seen.yaml") == expected
        by_dvc = file.read_bytes()
        copying.git("checkout", "--quiet", "params.yaml")
        petseg(copying, "recipe", "apply", name)
        assert file.read_bytes() == by_dvc
        petseg(copying, "recipe", "apply", "default")
        assert copying.git("status", "--porcelain", "params.yaml") == ""
    assert ran(petseg(copying, "recipe", "run", "d")) == []
