import re
import shutil
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from petseg.config import params, stage
from petseg.config.networks import NETWORKS
from petseg.config.training import Training
from petseg.runtime.errors import ParamsError

COMMITTED = Path(__file__).resolve().parents[2] / "params.yaml"


@pytest.fixture
def file(tmp_path):
    shutil.copy(COMMITTED, tmp_path / "params.yaml")
    return tmp_path / "params.yaml"


def test_committed_file_is_valid_and_explains_every_key():
    params.load(COMMITTED)
    lines = COMMITTED.read_text().splitlines()
    keys = [line for line in lines if re.match(r" *\w+:", line)]
    sections = [line for line in keys if re.fullmatch(r"\w+:", line)]
    without_comment = [line for line in keys if " # " not in line and line not in sections]
    assert without_comment == []


def fields(model, prefix=""):
    """Dotted key, lowest and highest value of every number in the parameters."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, f"{prefix}{name}.")
        else:
            text = str(field)
            low, high = re.search(r"[Gg]e\(ge=([^)]+)\)", text), re.search(r"[Ll]e\(le=([^)]+)\)", text)
            if low and high:
                yield prefix + name, float(low[1]), float(high[1])


def test_the_ranges_in_the_comments_are_those_that_are_checked():
    bounds = {key: (low, high) for key, low, high in fields(params.Params)}
    section, told = "", {}
    for line in COMMITTED.read_text().splitlines():
        if match := re.fullmatch(r"(\w+):", line):
            section = f"{match[1]}."
        if match := re.match(r"( *)(\w+):.* # .*?([\d.e-]+) \.\.\. (2\^32 - 1|[\d.e-]+)", line):
            high = 2**32 - 1 if "^" in match[4] else float(match[4])
            told[(section if match[1] else "") + match[2]] = (float(match[3]), high)
    assert {"lr", "image_size", "data.images", "unet.width", "split.seed", "evaluate.bootstrap"} <= told.keys()
    for key, value in told.items():
        assert bounds[key] == pytest.approx(value), key


@pytest.mark.parametrize(
    ("text", "value"), [("1e-4", 1e-4), ("1e-05", 1e-5), ("1E-3", 1e-3), ("0.01", 0.01), ("2.5e-4", 2.5e-4)]
)
def test_learning_rates_as_people_and_dvc_write_them(file, text, value):
    file.write_text(re.sub(r"(?m)^lr: \S+", f"lr: {text}", file.read_text()))
    assert params.load(file).lr == value
    assert params.load(COMMITTED, overrides=[f"unet.lr={text}"]).unet.lr == value


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("lrr=1e-4", ["lrr is not a parameter", ": lr."]),
        ("unet.widht=32", ["unet.widht is not a parameter", "unet.width"]),
        ("data.md5.image=0", ["data.md5.image ", "data.md5.images"]),
        ("lr=fast", ["lr is 'fast'", "number"]),
        ("lr=0", ["lr is 0", "greater than or equal to"]),
        ("lr=.nan", ["lr is nan"]),
        ("epochs=2.5", ["epochs is 2.5", "integer"]),
        ("seed=true", ["seed is True", "integer"]),
        ("batch_size=1", ["batch_size is 1", "2"]),
        ("data.source=oxfrd", ["data.source is 'oxfrd'", "'oxford'"]),
        ("data.md5.images=abc", ["data.md5.images is 'abc'"]),
        ("unet=3", ["unet is 3", "keys of its own"]),
        ("image_size=96", ["image_size is 96", "resnet34_unet", "multiple of 64"]),
        ("resnet34_unet.padding=reflect", ["image_size is 64", "resnet34_unet needs at least 128", "reflect"]),
        ("resnet34_unet.concatenate=before", ["resnet34_unet.concatenate is before", "bottleneck halve"]),
        (
            "resnet34_unet={pool: false, concatenate: before, bottleneck: none, last_step: plain}",
            ["resnet34_unet.pool is false", "last_step none instead of plain"],
        ),
        ("unet.bottleneck=none", ["unet.bottleneck is not a parameter", ": resnet34_unet.bottleneck."]),
        ("unet.classes=3", ["unet.classes is 3", "1 or 2"]),
        ("unet.align_corners=1", ["unet.align_corners is 1", "boolean"]),
        ("resnet34_unet.norm=null", ["resnet34_unet.norm is None", "'batch' or 'none'"]),
        ("lr", ["'lr' is no override", "key=value"]),
        ("lr=[1", ["not valid YAML"]),
    ],
)
def test_a_wrong_override_is_one_sentence_that_names_the_key(override, words):
    with pytest.raises(ParamsError) as error:
        params.load(COMMITTED, overrides=[override])
    text = str(error.value)
    assert all(word in text for word in words), text
    assert "\n" not in text
    assert error.value.exit_status == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["does not exist"]),
        ("lr: [1,\nepochs: 2", ["not valid YAML, line 2"]),
        ("- lr\n- epochs", ["holds no keys"]),
        ("", ["holds no keys"]),
        ("image_size: 64", ["batch_size is missing"]),
    ],
)
def test_a_wrong_file_is_one_sentence(file, content, words):
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(ParamsError) as error:
        params.load(file)
    assert all(word in str(error.value) for word in [file.name, *words]), str(error.value)


def test_a_misspelt_key_is_named_rather_than_the_key_that_it_leaves_missing(file):
    file.write_text(file.read_text().replace("\nlr:", "\nlearning_rate:"))
    with pytest.raises(ParamsError, match="learning_rate is not a parameter"):
        params.load(file)


def test_parameters_are_frozen():
    p = params.load(COMMITTED)
    with pytest.raises(ValueError, match="frozen"):
        p.lr = 1.0


def test_a_network_takes_its_own_value_before_the_shared_one():
    p = params.load(COMMITTED, overrides=["lr=1e-3", "unet.lr=1e-4", "resnet34_unet.epochs=7", "unet.width=12"])
    assert (p.training("unet").lr, p.training("resnet34_unet").lr) == (1e-4, 1e-3)
    assert (p.training("unet").epochs, p.training("resnet34_unet").epochs) == (p.epochs, 7)
    assert p.training("unet").width == 12
    assert p.describe("unet").startswith("lr 0.0001 (unet.lr), epochs")
    assert f"epochs {p.epochs} (shared)" in p.describe("unet")


@pytest.mark.parametrize(
    ("overrides", "accepted"),
    [
        (["image_size=96"], False),
        (["image_size=96", "resnet34_unet.bottleneck=none"], True),
        (["image_size=80", "resnet34_unet.bottleneck=none"], False),
        (["image_size=64", "unet.padding=reflect"], True),
        (["image_size=64", "resnet34_unet.padding=reflect", "resnet34_unet.bottleneck=widen"], True),
        (["image_size=128", "resnet34_unet.padding=reflect"], True),
    ],
)
def test_an_image_size_is_accepted_where_the_chosen_network_can_take_it(overrides, accepted):
    if accepted:
        params.load(COMMITTED, overrides=overrides)
    else:
        with pytest.raises(ParamsError, match=r"image_size is .*, but resnet34_unet needs a multiple of"):
            params.load(COMMITTED, overrides=overrides)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_record_of_a_training_holds_the_whole_architecture(name):
    two = ["unet.classes=2", "resnet34_unet.classes=2", "loss.bce=0", "loss.cross_entropy=1"]
    p = params.load(COMMITTED, overrides=[f"{name}.padding=reflect", *two, "image_size=128"])
    section, record = getattr(p, name).model_dump(), p.training(name).model_dump()
    assert section["padding"] == "reflect"
    assert {key: record[key] for key in section} == section | {
        key: record[key] for key in ("lr", "epochs", "batch_size")
    }
    assert Training.model_fields.keys().isdisjoint(getattr(p, name).architecture())


def test_a_recipe_lies_between_file_and_overrides(file):
    (file.parent / "recipes").mkdir()
    (file.parent / "recipes" / "small.yaml").write_text("lr: 1e-5\nunet: {width: 8}\nepochs: 3\n")
    p = params.load(file, recipe="small", overrides=["epochs=4"])
    assert (p.lr, p.unet.width, p.epochs) == (1e-5, 8, 4)
    assert p.resnet34_unet == params.load(file).resnet34_unet
    with pytest.raises(ParamsError, match=r"large\.yaml does not exist"):
        params.load(file, recipe="large")


def test_one_url_or_several():
    assert params.load(COMMITTED, overrides=["data.url=file:///tmp/x"]).data.url == ("file:///tmp/x",)
    assert len(params.load(COMMITTED).data.url) == 3


def change(file, key, value):
    values = yaml.safe_load(file.read_text())
    values[key] = value
    file.write_text(yaml.safe_dump(values))


def test_a_stage_does_not_end_well_if_its_parameters_changed_meanwhile(file):
    words = rf"lr was {params.load(file).lr} and is now 0.05.*not recorded.*dvc repro"
    with pytest.raises(ParamsError, match=words), stage.for_stage("seed", "lr", path=file):
        change(file, "lr", 0.05)


def test_the_change_inside_a_section_is_named(file):
    values = yaml.safe_load(file.read_text())["data"] | {"images": 50}
    words = rf"data.images was {params.load(file).data.images} and is now 50"
    with pytest.raises(ParamsError, match=words), stage.for_stage("data", path=file):
        change(file, "data", values)


def test_a_file_that_is_broken_meanwhile_is_told_too(file):
    with pytest.raises(ParamsError, match=r"changed while this stage ran.*not valid YAML.*not recorded"):  # noqa: SIM117
        with stage.for_stage("lr", path=file):
            file.write_text("lr: [")


def test_other_parameters_may_change_while_a_stage_runs(file):
    with stage.for_stage("data", "split", path=file) as p:
        change(file, "lr", 0.05)
    assert p.lr == params.load(COMMITTED).lr
    assert params.load(file).lr == 0.05
