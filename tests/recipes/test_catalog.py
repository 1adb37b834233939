"""The recipes of this project, and how any recipe is listed, shown and applied."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from petseg import models
from petseg.config import params
from petseg.config.networks import NETWORKS
from petseg.config.overrides import flatten, read, recipe_names
from petseg.recipes import catalog
from petseg.runtime.errors import ParamsError, PetsegError

ROOT = Path(__file__).resolve().parents[2]
NAMES = recipe_names(ROOT)[1:]
MACHINES = {"train.precision", "train.micro_batch", "train.deterministic", "train.compile"}
PARAMETERS = {  # of unet and resnet34_unet, as shared by the reports
    "a": (31_037_633, 48_194_369),
    "b": (31_037_633, 33_865_089),
    "c": (31_031_745, 24_423_809),
    "d": (13_391_426, 26_045_954),
}


@pytest.fixture
def file(tmp_path):
    """A params.yaml beside the recipes of this project, committed to git."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "params.yaml")
    git(tmp_path, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "--message", "as it is")
    return tmp_path / "params.yaml"


def git(folder, *arguments):
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def write(file, name, text):
    (file.parent / "recipes" / f"{name}.yaml").write_text(text)


def test_all_recipes_are_there():
    assert {"a", "b", "c", "d", "laptop", "oxford"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_means_the_same_whatever_params_yaml_holds(name):
    needed = {key for section in params.TRAINING_KEYS for key in flatten({section: template()[section]})} - MACHINES
    needed |= {key for section in NETWORKS for key in flatten({section: template()[section]})}
    needed |= {"data.source", "split.rule", "evaluate.flips"}
    assert flatten(read(ROOT / "recipes" / f"{name}.yaml").values).keys() == needed


def template():
    return read(ROOT / "params.yaml").values


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_says_what_it_is_scored_and_costs(name):
    head = (ROOT / "recipes" / f"{name}.yaml").read_text().partition("\n\n")[0].splitlines()
    assert all(line.startswith("# ") for line in head)
    assert head[1].startswith("# Scored: ")
    costs = next(line for line in head if line.startswith("# Costs: "))
    p = params.load(ROOT / "params.yaml", recipe=name)
    assert f"{p.epochs} epochs of {p.image_size} pixels in batches of {p.batch_size}" in costs
    counts = [models.count_parameters(network) / 1e6 for network in networks(name)]
    assert f"; {counts[0]:.1f} and {counts[1]:.1f} million parameters" in costs


def networks(name):
    p = params.load(ROOT / "params.yaml", recipe=name)
    with torch.device("meta"):
        return [models.build(network, p) for network in NETWORKS]


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_networks_of_a_report_have_its_parameter_counts(name):
    assert tuple(map(models.count_parameters, networks(name))) == PARAMETERS[name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a", [(7e-4, 64, 500, "cosine", "a", "valid_dice", (1, 0, 1, "batch", 0), 0)] * 2),
        ("b", [(1e-4, 8, 30, "constant", "b", "valid_dice", (1, 0, 0, "batch", 0), 0)] * 2),
        ("c", [(lr, 16, 30, "plateau", "c", "valid_loss", (1, 0, 1, "image", 1), 3e-5) for lr in (5e-4, 1e-4)]),
        (
            "d",
            [
                (1e-3, batch, 300, "constant", "d_elastic_or_crop", "valid_dice", (0, 1, 0, "batch", 0), 0)
                for batch in (20, 60)
            ],
        ),
    ],
)
def test_each_report_trains_in_its_own_way(name, expected):
    p = params.load(ROOT / "params.yaml", recipe=name)
    assert (p.image_size, p.seed, p.data.source, p.split.rule) == (256, 88, "oxford", "report")
    assert (p.optimizer.name, p.optimizer.decay, p.schedule.patience, p.schedule.factor) == ("adam", "l2", 2, 0.5)
    for network, values in zip(NETWORKS, expected, strict=True):
        t = p.training(network)
        loss = (t.loss.bce, t.loss.cross_entropy, t.loss.dice, t.loss.dice_over, t.loss.smooth)
        decay = t.optimizer.weight_decay
        assert (t.lr, t.batch_size, t.epochs, t.schedule.name, t.augment, t.select, loss, decay) == values
        assert (t.patience, t.clip, t.ema, t.width) == (None, None, None, 64)


def test_the_list_has_a_line_for_each_with_sizes_and_what_it_is(file):
    header, default, *others = catalog.table(file).splitlines()
    assert header.split()[:3] == ["name", "data", "pixels"]
    assert default.split()[0] == "default"
    assert [line.split()[0] for line in others] == NAMES
    d = next(line for line in others if line.startswith("d "))
    assert d.split()[1:7] == ["oxford", "256", "64", "300", "20/60", "0.001"]
    assert d.endswith((ROOT / "recipes/d.yaml").read_text().splitlines()[0].removeprefix("# "))
    about = header.index("what it is")
    assert all(line[about - 2 : about] == "  " and line[about] != " " for line in (default, *others))


@pytest.mark.parametrize("name", NAMES)
def test_show_marks_what_differs_and_only_that(file, name):
    shown = catalog.show(name, file)
    assert shown.startswith((ROOT / "recipes" / f"{name}.yaml").read_text().partition("\n\n")[0])
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
    for line in file.read_text().splitlines():  # the comments, and in their order
        comment = line.partition(" # ")[2]
        assert comment in without_margin
        without_margin = without_margin[without_margin.index(comment) :]


def test_show_names_the_defaults_value(file):
    write(file, "large", "image_size: 2048\n")
    before = params.load(file).image_size
    assert re.search(rf"(?m)^> image_size: 2048 .*  # default: {before}$", catalog.show("large", file))
    assert re.search(r"(?m)^>   decoder_width: 32 .*  # default: null$", catalog.show("d", file))
    assert re.search(r"(?m)^>   align_corners: false .*  # default: true$", catalog.show("c", file))


def test_show_compares_lists_too(file):
    write(file, "mirror", "data:\n  url: [file:///pets]\n")
    shown = catalog.show("mirror", file)
    assert re.search(r'(?m)^>   url: .*  # default: \["https://www\.robots.*pets"\]$', shown)
    assert "\n      - file:///pets\n    md5:" in shown


def test_the_default_is_what_is_committed(file):
    committed = file.read_text()
    catalog.apply("d", file)
    assert catalog.show("default", file) == committed.rstrip("\n")
    assert catalog.table(file).splitlines()[1].split()[1] == "synthetic"
    assert "> image_size: 256" in catalog.show("a", file)  # though params.yaml has 256 too, by now
    catalog.apply("default", file, force=True)
    assert file.read_text() == committed


@pytest.mark.parametrize("name", NAMES)
def test_apply_writes_the_values_and_keeps_everything_else(file, name):
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
    expected, lines = params.load(file, recipe="odd"), file.read_text().splitlines()
    catalog.apply("odd", file)
    assert params.load(file) == expected
    assert expected.data.url == ("file:///a", "b: c", "#d")
    assert expected.data.path == "null"
    untouched = [line for line in lines if not re.match(r"(lr|seed):|  path:|    - ", line)]
    assert [line for line in file.read_text().splitlines() if line in untouched] == untouched


def test_apply_refuses_to_lose_edits_unless_forced(file):
    file.write_text(file.read_text() + "# a thought\n")
    edited = file.read_text()
    with pytest.raises(ParamsError, match=r"params\.yaml has edits that are not committed .*--force"):
        catalog.apply("a", file)
    assert file.read_text() == edited
    catalog.apply("a", file, force=True)
    assert params.load(file) == params.load(file, recipe="a")


@pytest.mark.parametrize("git_is_there", [True, False])
def test_apply_refuses_where_git_cannot_tell(file, monkeypatch, git_is_there):
    shutil.rmtree(file.parent / ".git")
    before = file.read_text()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(file.parent.parent))
    if not git_is_there:
        monkeypatch.setenv("PATH", str(file.parent))
    with pytest.raises(ParamsError, match=r"git cannot tell .*params\.yaml.*--force"):
        catalog.apply("a", file)
    assert file.read_text() == before
    assert "default" in catalog.table(file)  # is the file as it lies here
    assert catalog.apply("a", file, force=True) > 0


def test_anchors_of_yaml_are_no_obstacle(file):
    text = re.sub(r"\nepochs: \d+", "\nepochs: &n 50", file.read_text())
    file.write_text(re.sub(r"\n  images: \d+", "\n  images: *n", text))
    write(file, "longer", "epochs: 60\n")
    catalog.apply("longer", file, force=True)
    assert (params.load(file).epochs, params.load(file).data.images) == (60, 50)


def test_apply_moves_nothing_into_place_that_is_not_the_recipe(file, monkeypatch):
    before = file.read_text()
    monkeypatch.setattr(catalog, "edited", lambda text, leaves: text)
    with pytest.raises(PetsegError, match="cannot be edited here"):
        catalog.apply("a", file)
    assert file.read_text() == before
    assert [path.name for path in file.parent.glob(".*.part")] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lrr: 1e-3", ["lrr is not a parameter; the nearest that is: lr."]),
        ("unet: {widht: 8}", ["unet.widht is not a parameter; the nearest that is: unet.width."]),
        ("unet: 3", ["unet is 3, but it holds keys of its own"]),
        ("1: 2", ["1 is not a parameter"]),
        ("lr: fast", ["lr is 'fast'"]),
        ("train: {ema: 1}", ["train.ema is 1", "less than 1"]),
        ("lr: [1", ["not valid YAML, line 1"]),
        ("lr: 1e-3\nlr: 1e-4", ["not valid YAML, line 2: lr is there twice"]),
        ("- lr", ["holds no keys"]),
        ("# nothing", ["holds no keys"]),
        ("unet: {classes: 2}", ["unet.classes is 2, but loss.bce is 1"]),
        ("schedule: {name: plateau}\nepochs: 1", ["unet trains for 1 epochs, but schedule.name is plateau"]),
        ("loss: {bce: 0, dice: 0}", ["are all 0, so nothing would be learnt"]),
        ("schedule: {name: one_cycle, warm_up: 2}", ["one_cycle warms up by itself"]),
        ("image_size: 100", ["image_size is 100, but unet needs a multiple of 16"]),
    ],
)
def test_a_wrong_recipe_is_one_sentence_that_names_it_and_changes_nothing(file, text, words):
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
        ("defualt", "the nearest recipe is default."),
        ("xyz", f"there are the recipes default, {', '.join(NAMES)}."),
        ("../params", "there are the recipes"),
        ("", "there are the recipes"),
    ],
)
def test_a_name_that_does_not_exist_is_answered_with_one_that_does(file, name, words):
    with pytest.raises(ParamsError, match=re.escape(words)):
        catalog.show(name, file)


def test_a_mistake_in_an_override_is_told_of_the_override(file):
    for override, words in [
        ("epochs=0", "-S epochs=0: epochs is 0"),
        ("unet.widht=8", "-S unet.widht=8: unet.widht is not a parameter"),
        ("loss.bce=1", "params.yaml with .*recipes/d.yaml -S seed=1 -S loss.bce=1: unet.classes is 2, but loss.bce"),
        ("=1", "no override"),
    ]:
        with pytest.raises(ParamsError, match=words):
            catalog.sources("d", ["seed=1", override], file)
