"""Recipes run by the real `dvc`: once through the pipeline, and through one cheap stage that shows its parameters."""

import json
import shutil

import pytest

from petseg.config import params
from support.paths import ROOT
from support.project import STAGES, Project, ran, wait_until

SMALL = ["image_size=64", "data.source=synthetic", "train.precision=fp32", "unet.width=4", "resnet34_unet.width=4"]
COPYING = "stages: {copy: {cmd: cp params.yaml seen.yaml, params: [%s], metrics: [seen.yaml: {cache: false}]}}\n"


def petseg(project, *arguments):
    """Runs the command `petseg` with the project's own code, not the installed one."""
    return project.run("python", "-m", "petseg", *arguments, PYTHONPATH=str(project.folder / "src"))


def names(project):
    """The recipe of each finished experiment."""
    refs = project.git("for-each-ref", "--format=%(refname:lstrip=-1)", "refs/exps/*/*/*")
    return sorted(name.partition("-")[0] for name in refs.split())


def test_a_recipe_runs_once(project):
    overrides = [*SMALL, "epochs=1"]
    run = ["recipe", "run", "b", *(f"-S{each}" for each in overrides)]
    assert ran(petseg(project, *run)) == STAGES[2:]
    kept = ["data.images=40", "evaluate.bootstrap=100"]  # of the project's params.yaml
    used = params.load(project.folder / "params.yaml")
    assert used == params.load(ROOT / "params.yaml", recipe="b", overrides=[*overrides, *kept])
    assert names(project) == ["b"]
    assert ran(petseg(project, *run)) == []


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


def test_the_values_of_a_recipe_arrive_as_apply_writes_them(copying):
    file = copying.folder / "params.yaml"
    for name in ("odd", "d"):
        expected = params.load(file, recipe=name)
        petseg(copying, "recipe", "run", name)
        assert params.load(file) == params.load(copying.folder / "seen.yaml") == expected
        by_dvc = file.read_bytes()
        copying.git("checkout", "--quiet", "params.yaml")
        petseg(copying, "recipe", "apply", name)
        assert file.read_bytes() == by_dvc
        petseg(copying, "recipe", "apply", "default")
        assert copying.git("status", "--porcelain", "params.yaml") == ""
    assert names(copying) == ["d", "odd"]


def test_several_recipes_run_in_the_background(copying):
    assert "`dvc queue status` lists them" in petseg(copying, "recipe", "run", "a", "default", "-S", "epochs=7")
    assert copying.git("status", "--porcelain") == ""
    wait_until(lambda: names(copying) == ["a", "default"])
    assert experiments(copying) == {"a": (256, 7), "default": (64, 7)}


def experiments(project):
    """Image size and epochs of each finished experiment, by its recipe."""
    rows = {}
    for commit in json.loads(project.dvc("exp", "show", "--json")):
        for experiment in commit.get("experiments") or []:
            for revision in experiment["revs"] or []:
                seen = (revision["data"]["metrics"] or {}).get("seen.yaml", {}).get("data")
                if seen:
                    rows[revision["name"].partition("-")[0]] = (seen["image_size"], seen["epochs"])
    return rows
