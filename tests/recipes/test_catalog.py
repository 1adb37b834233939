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
from petseg.runtime.errors import ParamsError, PetsegError
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


def test_all_recipes_exist():
    assert {"a", "b", "c", "d", "laptop", "oxford"} <= set(NAMES)


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
    assert header.split()[:3] == ["name", "data", "size"]
    assert default.split()[0] == "default"
    assert [line.split()[0] for line in others] == NAMES
    d = next(line for line in others if line.startswith("d "))
    assert d.split()[1:7] == ["oxford", "256", "64", "300", "20/60", "0.001"]
    assert d.endswith(head("d").splitlines()[0].removeprefix("#"))
    start = header.index("description")
    assert all(line[start - 2 : start] == "  " and line[start] != " " for line in (default, *others))
    assert max(map(len, (header, *others))) <= 80


@pytest.mark.parametrize("name", NAMES)
def test_show_marks_exactly_the_lines_that_differ(file, name):
    shown = catalog.show(name, file)
    assert shown.startswith(head(name))
    body = shown.partition("\n\n")[2].splitlines()
    assert {line[:2] for line in body} <= {"  ", "> ", ""}
    without_margin = "\n".join(line[2:] for line in body)
    (file.parent / "shown.yaml").write_text(without_margin)
    assert params.load(file.parent / "shown.yaml") == params.load(file, recipe=name)
    before, after = (flatten(params.load(file, recipe=each).model_dump()) for each in (None, name))
    marked = [line for line in body if line.startswith("> ")]
    assert len(marked) == sum(before[key] != after[key] for key in before)
    assert all("  # default: " in line for line in marked)
    assert without_margin.count("# default: ") == len(marked)
    comments = iter(re.findall(r" # (.*?)(?:  # default: .*)?$", without_margin, re.MULTILINE))
    assert list(comments) == re.findall(r" # (.*)$", file.read_text().partition("\n\n")[2], re.MULTILINE)


def test_show_names_the_default(file):
    write(file, "large", "image_size: 2048\n")
    write(file, "mirror", "data:\n  url: [file:///pets]\n")
    assert re.search(r"(?m)^> image_size: 2048 .*  # default: 64$", catalog.show("large", file))
    assert re.search(r"(?m)^>   decoder_width: 32 .*  # default: null$", catalog.show("d", file))
    assert re.search(r"(?m)^>   align_corners: false .*  # default: true$", catalog.show("c", file))
    shown = catalog.show("mirror", file)
    assert re.search(r'(?m)^>   url: .*  # default: \["https://www\.robots.*pets"\]$', shown)
    assert "\n    - file:///pets\n    md5:" in shown


def test_default_is_what_is_committed(file):
    committed = file.read_text()
    catalog.apply("d", file)
    assert catalog.show("default", file) == committed.rstrip("\n")
    assert catalog.table(file).splitlines()[1].split()[1] == "synthetic"
    assert "> image_size: 256" in catalog.show("a", file)  # compared with the commit, not with recipe d
    assert catalog.apply("default", file) > 0
    assert file.read_text() == committed


@pytest.mark.parametrize("name", NAMES)
def test_apply_changes_values_and_nothing_else(file, name):
    expected, before = params.load(file, recipe=name), file.read_text().splitlines()
    changed = catalog.apply(name, file)
    after = file.read_text().splitlines()
    assert params.load(file) == expected
    assert sum(old != new for old, new in zip(before, after, strict=True)) == changed
    for old, new in zip(before, after, strict=True):
        assert old.partition(":")[0] == new.partition(":")[0]
        assert old.partition(" # ")[1:] == new.partition(" # ")[1:]


def test_apply_writes_lists_quotes_and_small_numbers(file):
    write(file, "odd", 'lr: 1e-5\nseed: 5\ndata:\n  url: [file:///a, "b: c", "#d"]\n  path: "null"\n')
    lines = file.read_text().splitlines()
    catalog.apply("odd", file)
    p = params.load(file)
    assert (p.lr, p.seed, p.data.url, p.data.path) == (1e-5, 5, ("file:///a", "b: c", "#d"), "null")
    untouched = [line for line in lines if not re.match(r"(lr|seed):|  path:|  - ", line)]
    assert [line for line in file.read_text().splitlines() if line in untouched] == untouched


def test_recipes_can_be_applied_one_after_another(file):
    for name in ("d", "a", "a", "laptop", "default", "c"):
        expected = params.load(file, recipe=name) if name != "default" else params.load(COMMITTED)
        catalog.apply(name, file)
        assert params.load(file) == expected
    write(file, "broken", "lr: [")  # elsewhere, so it does not matter
    catalog.apply("b", file)


@pytest.mark.parametrize("before", ["default", "d"])
@pytest.mark.parametrize(("old", "new"), [("seed: 88 ", "seed: 89 "), ("  bootstrap: 10000", "  bootstrap: 500")])
def test_apply_does_not_overwrite_edits_unless_forced(file, before, old, new):
    catalog.apply(before, file)
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    text = file.read_text()
    for name in ("a", "d", "default"):
        with pytest.raises(ParamsError, match=r"params\.yaml has edits that are not committed; .*--force"):
            catalog.apply(name, file)
    assert file.read_text() == text
    catalog.apply("a", file, force=True)
    assert params.load(file).lr == 7e-4


def test_apply_keeps_a_comment_that_is_not_committed(file):
    committed = file.read_text()
    file.write_text(committed + "# a thought\n")
    catalog.apply("a", file)
    assert file.read_text().endswith("# a thought\n")
    with pytest.raises(ParamsError, match="edits that are not committed"):
        catalog.apply("default", file)  # would bring back the committed text
    catalog.apply("default", file, force=True)
    assert file.read_text() == committed


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
    assert catalog.apply("a", file, force=True) > 0


def test_apply_keeps_yaml_anchors(file):
    text = re.sub(r"\nepochs: \d+", "\nepochs: &n 50", file.read_text())
    file.write_text(re.sub(r"\n  images: \d+", "\n  images: *n", text))
    write(file, "longer", "epochs: 60\n")
    catalog.apply("longer", file, force=True)
    assert (params.load(file).epochs, params.load(file).data.images) == (60, 50)


def test_apply_replaces_the_file_only_with_the_right_values(file, monkeypatch):
    before = file.read_text()
    monkeypatch.setattr(catalog, "edited", lambda text, leaves: text)
    with pytest.raises(PetsegError, match="cannot be edited automatically"):
        catalog.apply("a", file)
    assert file.read_text() == before
    assert list(file.parent.glob(".*.part")) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lrr: 1e-3", ["lrr is not a parameter; the nearest one is lr."]),
        ("unet: {widthh: 8}", ["unet.widthh is not a parameter; the nearest one is unet.width."]),
        ("unet: 3", ["unet is 3, but it is a section"]),
        ("1: 2", ["1 is not a parameter"]),
        ("lr: fast", ["lr is 'fast'"]),
        ("train: {ema: 1}", ["train.ema is 1", "less than 1"]),
        ("lr: [1", ["not valid YAML, line 1"]),
        ("lr: 1e-3\nlr: 1e-4", ["not valid YAML, line 2: lr occurs twice"]),
        ("- lr", ["has no keys"]),
        ("# nothing", ["has no keys"]),
        ("unet: {classes: 2}", ["unet.classes is 2, but loss.bce is 1"]),
        ("image_size: 100", ["image_size is 100, but unet needs a multiple of 16"]),
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
        ("defaultt", "the nearest recipe is default."),
        ("xyz", f"the recipes are default, {', '.join(NAMES)}."),
        ("../params", "the recipes are"),
        ("", "the recipes are"),
    ],
)
def test_an_unknown_name_is_answered_with_known_ones(file, name, words):
    with pytest.raises(ParamsError, match=re.escape(words)):
        catalog.show(name, file)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("epochs=0", "-S epochs=0: epochs is 0"),
        ("unet.widthh=8", "-S unet.widthh=8: unet.widthh is not a parameter"),
        ("loss.bce=1", "params.yaml with .*recipes/d.yaml -S seed=1 -S loss.bce=1: unet.classes is 2, but loss.bce"),
        ("=1", "not an override"),
    ],
)
def test_an_error_in_an_override_names_the_override(file, override, words):
    with pytest.raises(ParamsError, match=words):
        catalog.sources("d", ["seed=1", override], file)
