"""Recipes through the real `dvc`: the whole pipeline once, and a small one to see what arrives."""

import json
import re
import shutil

import pytest

from petseg.config import params
from support.project import ROOT, STAGES, Project, metrics, ran, wait_until

SMALL = [f"-S{each}" for each in ("image_size=64", "data.source=synthetic", "unet.width=4", "resnet34_unet.width=4")]
COPYING = "stages: {copy: {cmd: cp params.yaml seen.yaml, params: [%s], metrics: [seen.yaml: {cache: false}]}}\n"


def petseg(project, *arguments, status=0):
    """`petseg` with the copy's own code, whatever is installed."""
    return project.run("python", "-m", "petseg", *arguments, status=status, PYTHONPATH=str(project.folder / "src"))


def names(project):
    return re.findall(r"[\w-]+", project.dvc("exp", "list", "--name-only"))


def test_a_recipe_is_run_recorded_by_its_name_and_never_run_twice(project):
    before = metrics(project)
    run = ["recipe", "run", "b", *SMALL, "-Sepochs=1"]
    try:
        assert ran(petseg(project, *run)) == STAGES[2:]
        asked = [each.removeprefix("-S") for each in run if each.startswith("-S")]
        kept = ["train.precision=fp32", "data.images=40", "evaluate.bootstrap=100"]  # of what the recipe leaves alone
        used = params.load(project.folder / "params.yaml")
        assert used == params.load(ROOT / "params.yaml", recipe="b", overrides=[*asked, *kept])
        assert [name.partition("-")[0] for name in names(project)].count("b") == 1
        assert metrics(project) != before
        assert ran(petseg(project, *run)) == []
    finally:
        project.restore()


@pytest.fixture
def copying(tmp_path):
    """A project whose one stage copies params.yaml."""
    project = Project(tmp_path / "site", tmp_path / "site")
    project.folder = tmp_path / "project"
    project.folder.mkdir()
    for name in ("params.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, project.folder)
    for name in ("src", "recipes"):
        shutil.copytree(ROOT / name, project.folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    (project.folder / "dvc.yaml").write_text(COPYING % ", ".join(params.KEYS))
    project.git("init", "--quiet", "--initial-branch", "main")
    project.dvc("init", "--quiet")
    shutil.copy(ROOT / ".dvc/config", project.folder / ".dvc")
    return project


def test_what_arrives_is_the_recipe_whatever_its_values_are(copying):
    odd = "data: {url: ['file:///a b', 'https://x.org/~me/a,b?c=d&e'], path: 'it''s, [odd]: {x}'}\nlr: 1e-5\n"
    (copying.folder / "recipes/odd.yaml").write_text(odd + "unet: {lr: 1e-3}\ntrain: {deterministic: false}\n")
    copying.commit("all")
    for name in ("odd", "d", "c"):  # each after what the one before has left
        expected = params.load(copying.folder / "params.yaml", recipe=name)
        petseg(copying, "recipe", "run", name)
        assert params.load(copying.folder / "params.yaml") == expected
        assert params.load(copying.folder / "seen.yaml") == expected
    assert sorted(name.partition("-")[0] for name in names(copying)) == ["c", "d", "odd"]
    petseg(copying, "recipe", "run", "default")
    assert params.load(copying.folder / "params.yaml") == params.load(ROOT / "params.yaml")


def test_several_are_queued_and_run_by_themselves(copying):
    copying.commit("all")
    said = petseg(copying, "recipe", "run", "a", "default", "-S", "epochs=7")
    assert "`dvc queue status` lists them" in said
    assert copying.git("status", "--porcelain") == ""
    finished = ["git", "for-each-ref", "--format=%(refname:lstrip=-1)", "refs/exps/*/*/*"]
    wait_until(lambda: {name.partition("-")[0] for name in copying.run(*finished).split()} == {"a", "default"})
    rows = experiments(copying)
    assert {name.partition("-")[0]: sizes for name, sizes in rows.items()} == {"a": (256, 7), "default": (64, 7)}


def experiments(project):
    """Image size and epochs of each finished experiment."""
    rows = {}
    for commit in json.loads(project.dvc("exp", "show", "--json")):
        for experiment in commit.get("experiments") or []:
            for revision in experiment["revs"] or []:
                seen = (revision["data"]["metrics"] or {}).get("seen.yaml", {}).get("data")
                if seen:
                    rows[revision["name"]] = (seen["image_size"], seen["epochs"])
    return rows
