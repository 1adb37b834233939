"""The recipes of this project, and how a recipe is listed, shown and applied."""

import re
import shutil
import subprocess

import pytest
import torch

from petseg import models
from petseg.config import params
from petseg.config.networks import NETWORKS
from petseg.config.overrides import flatten, read, recipe_names
from petseg.recipes import catalog
from petseg.runtime.errors import ParamsError
from support.paths import COMMITTED, ROOT

NAMES = recipe_names(ROOT)[1:]
MACHINE = {"train.micro_batch", "train.deterministic", "train.compile"}  # left to the user of a recipe


@pytest.fixture
def file(tmp_path):
    """A params.yaml beside the recipes of this project, committed to git."""
    shutil.copy(COMMITTED, tmp_path)
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    commit = ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "--message", "all"]
    for arguments in (["init", "--quiet"], ["add", "params.yaml"], commit):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    return tmp_path / "params.yaml"


def write(file, name, text):
    (file.parent / "recipes" / f"{name}.yaml").write_text(text)


def head(name):
    return (ROOT / "recipes" / f"{name}.yaml").read_text().partition("\n\n")[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_sets_everything_that_decides_its_result(name):
    template = read(COMMITTED).values
    needed = flatten({section: template[section] for section in (*params.TRAINING_KEYS, *NETWORKS)}).keys() - MACHINE
    needed |= {"data.source", "split.rule", "evaluate.flips"}
    assert flatten(read(ROOT / "recipes" / f"{name}.yaml").values).keys() == needed


@pytest.mark.parametrize("name", NAMES)
def test_the_head_of_a_recipe_gives_score_and_cost(name):
    lines = head(name).splitlines()
    assert all(line.startswith("# ") for line in lines)
    assert sum(line.startswith("# Scored: ") for line in lines) == 1
    p = params.load(COMMITTED, recipe=name)
    assert f"# Costs: {p.epochs} epochs of {p.image_size} pixels in batches of {p.batch_size}" in head(name)
    with torch.device("meta"):
        counts = [models.count_parameters(models.build(network, p)) / 1e6 for network in NETWORKS]
    assert f"; {counts[0]:.1f} and {counts[1]:.1f} million parameters" in head(name)


def test_the_table_has_a_line_for_each_recipe_and_fits_a_terminal(file):
    header, default, *others = catalog.table(file).splitlines()
    assert header.split()[:3] == ["name", "size", "width"]
    assert default.split()[0] == "default"
    assert [line.split()[0] for line in others] == NAMES
    assert {"a", "b", "c", "d", "laptop", "oxford", "pretrained"} <= set(NAMES)
    d = next(line for line in others if line.startswith("d "))
    assert d.split()[1:6] == ["256", "64", "300", "20/60", "0.001"]
    assert d.endswith(head("d").splitlines()[0].removeprefix("#"))
    start = header.index("description")
    assert all(line[start - 2 : start] == "  " and line[start] != " " for line in (default, *others))
    assert max(map(len, (header, *others))) <= 80


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_shown_as_a_change_of_the_committed_file_and_applied(file, name):
    committed, expected = file.read_text(), params.load(file, recipe=name)
    shown = catalog.show(name, file)
    assert shown.startswith(head(name) + "\n\n")
    lines = shown.removeprefix(head(name) + "\n\n").splitlines()
    catalog.apply(name, file)
    assert params.load(file) == expected
    after = file.read_text()
    for text, margins in ((committed, ("  ", "- ", "")), (after, ("  ", "+ ", ""))):
        assert [line[2:] for line in lines if line[:2] in margins] == text.splitlines()
    for old, new in zip(committed.splitlines(), after.splitlines(), strict=True):  # nothing but values has changed
        assert old.partition(":")[0] == new.partition(":")[0]
        assert old.partition(" # ")[1:] == new.partition(" # ")[1:]


def test_default_is_what_is_committed(file):
    committed = file.read_text()
    catalog.apply("d", file)
    assert catalog.show("default", file) == committed.rstrip("\n")
    assert catalog.table(file).splitlines()[1].split()[1] == "64"
    assert "- image_size: 64 " in catalog.show("a", file)  # compared with the commit, not with recipe d
    catalog.apply("default", file)
    assert file.read_text() == committed


def test_apply_writes_lists_quotes_and_small_numbers(file):
    write(file, "odd", 'lr: 1e-5\nseed: 5\ndata:\n  url: [file:///a, "b: c", "#d"]\n  path: "null"\n')
    lines = file.read_text().splitlines()
    catalog.apply("odd", file)
    p = params.load(file)
    assert (p.lr, p.seed, p.data.url, p.data.path) == (1e-5, 5, ("file:///a", "b: c", "#d"), "null")
    untouched = [line for line in lines if not re.match(r"(lr|seed):|  path:|  - ", line)]
    assert [line for line in file.read_text().splitlines() if line in untouched] == untouched


def test_recipes_can_be_applied_one_after_another(file):
    write(file, "small", "train: {ema: 0.5}\n")
    for name in ("d", "a", "a", "small", "laptop", "default", "c"):
        catalog.apply(name, file)
        override = ["train.ema=0.5"] if name == "small" else []
        assert params.load(file) == params.load(COMMITTED, None if override else name, override)
    write(file, "broken", "lr: [")  # elsewhere, so it does not matter
    catalog.apply("b", file)


@pytest.mark.parametrize("before", ["default", "d"])
@pytest.mark.parametrize(
    ("old", "new"),
    [("seed: 88 ", "seed: 89 "), ("  bootstrap: 10000", "  bootstrap: 500"), ("lr:", "# a thought\nlr:")],
)
def test_apply_does_not_overwrite_edits_unless_forced(file, before, old, new):
    catalog.apply(before, file)
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    text = file.read_text()
    for name in ("a", "d", "default"):
        with pytest.raises(ParamsError, match=r"params\.yaml has edits that are not committed; .*--force"):
            catalog.apply(name, file)
    assert file.read_text() == text
    catalog.apply("a", file, force=True)
    assert params.load(file) == params.load(COMMITTED, recipe="a")


@pytest.mark.parametrize("missing", ["git", "repository", "commit"])
def test_apply_needs_a_commit_unless_forced(file, monkeypatch, missing):
    shutil.rmtree(file.parent / ".git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(file.parent.parent))
    if missing == "git":
        monkeypatch.setenv("PATH", str(file.parent))
    if missing == "commit":
        subprocess.run(["git", "init", "--quiet"], cwd=file.parent, check=True)
    before = file.read_text()
    with pytest.raises(ParamsError, match=r"git has no commit of .*params\.yaml.*--force"):
        catalog.apply("a", file)
    assert file.read_text() == before
    assert "default" in catalog.table(file)  # then the file as it is
    catalog.apply("a", file, force=True)
    assert params.load(file) == params.load(COMMITTED, recipe="a")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lrr: 1e-3", ["lrr is not a parameter; the nearest one is lr."]),
        ("unet: 3", ["unet is 3, but it is a section"]),
        ("1: 2", ["1 is not a parameter"]),
        ("lr: [1", ["not valid YAML, line 1"]),
        ("- lr", ["has no keys"]),
        ("unet: {classes: 2}", ["unet.classes is 2, but loss.bce is 1"]),
    ],
)
def test_an_error_in_a_recipe_is_one_sentence_and_changes_nothing(file, text, words):
    write(file, "wrong", text)
    before = file.read_text()
    for use in (catalog.apply, catalog.show, catalog.sources, lambda name, path: params.load(path, recipe=name)):
        with pytest.raises(ParamsError) as error:
            use("wrong", path=file)
        assert all(word in str(error.value) for word in ["recipes/wrong.yaml", *words]), str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(ParamsError, match=r"recipes/wrong\.yaml"):
        catalog.table(file)
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("oxfrod", "the nearest recipe is oxford."),
        ("xyz", f"the recipes are default, {', '.join(NAMES)}."),
        ("../params", "the recipes are"),
        ("", "the recipes are"),
    ],
)
def test_an_unknown_name_is_answered_with_known_ones(file, name, words):
    with pytest.raises(ParamsError, match=re.escape(words)):
        catalog.show(name, file)
