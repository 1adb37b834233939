import re
import shutil
from collections.abc import Iterator

import pytest

from petseg.config import params, stage
from petseg.config.networks import NETWORKS
from petseg.runtime.errors import ParamsError
from support.paths import COMMITTED


@pytest.fixture
def file(tmp_path):
    shutil.copy(COMMITTED, tmp_path / "params.yaml")
    return tmp_path / "params.yaml"


def test_every_key_of_the_committed_file_has_a_comment():
    params.load(COMMITTED)
    keys = re.findall(r"(?m)^ *\w+:.*$", COMMITTED.read_text())
    assert [line for line in keys if " # " not in line and not re.fullmatch(r"\w+:", line)] == []


def ranges(schema: dict, section: dict, prefix: str = "") -> Iterator[tuple[str, tuple[float, float]]]:
    """Dotted key, minimum and maximum of every number in a JSON schema."""
    for name, field in section["properties"].items():
        if "$ref" in field:
            yield from ranges(schema, schema["$defs"][field["$ref"].rpartition("/")[2]], f"{prefix}{name}.")
        for each in field.get("anyOf", [field]):
            if "maximum" in each or "exclusiveMaximum" in each:
                low, high = (each.get(key, each.get(f"exclusive{key.title()}")) for key in ("minimum", "maximum"))
                yield prefix + name, (low, high)


def test_the_comments_give_the_range_of_every_number():
    schema = type(params.load(COMMITTED)).model_json_schema()
    section, key, given = "", "", {}
    for line in COMMITTED.read_text().splitlines():
        if match := re.fullmatch(r"(\w+):", line):
            section = f"{match[1]}."
        elif match := re.match(r"( *)(\w+):", line):
            key = (section if match[1] else "") + match[2]
        if match := re.search(r"([\d.e-]+) (?:to|and) (2\^32 - 1|[\d.e]+)$", line):
            given[key] = (float(match[1]), 2**32 - 1 if "^" in match[2] else float(match[2]))
    shared = {f"{network}.{key}" for network in NETWORKS for key in ("lr", "epochs", "batch_size")}
    assert given == {key: limits for key, limits in ranges(schema, schema) if key not in shared}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("lrr=1e-4", ["lrr is not a parameter", "is lr."]),
        ("unet.widthh=32", ["unet.widthh is not a parameter", "unet.width"]),
        ("data.md5.image=0", ["data.md5.image ", "data.md5.images"]),
        ("lr=fast", ["lr is 'fast'", "number"]),
        ("train.precision=auto", ["train.precision is 'auto'", "'fp32' or 'bf16'"]),
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
            ["resnet34_unet.pool is false", "last_step to none instead of plain"],
        ),
        ("unet.bottleneck=none", ["unet.bottleneck is not a parameter", "is resnet34_unet.bottleneck."]),
        ("unet.classes=3", ["unet.classes is 3", "1 or 2"]),
        ("unet.classes=true", ["unet.classes is True", "1 or 2"]),
        ("unet.classes=1.0", ["unet.classes is 1.0", "1 or 2"]),
        ("unet.lr=None", ["unet.lr is 'None': for no value, write null."]),
        ("unet.start=None", ["unet.start is 'None': for no value, write null."]),
        ("widht=3", ["widht is not a parameter; the nearest one is unet.width."]),
        ("foo=1", ["foo is not a parameter; the file has image_size, batch_size, epochs, lr, seed, data, "]),
        ("split.foo=1", ["split.foo is not a parameter; split has rule, seed, exclude, group, limit."]),
        ("lr=\0", [r"-S lr=\x00 is not valid YAML, line 1: the character 0x0000 is not allowed."]),
        ('data.path="a\\0b"', ["not valid YAML, line 1: a text contains a NUL byte."]),
        ("lr=!!bool x", ["a value does not fit its tag"]),
        ("lr={[a]: b}", ["a key must be text"]),
        ("lr=" + 5000 * "[" + 5000 * "]", ["nested more than 20 levels deep"]),
        ("lr=" + 30 * "[" + 30 * "]", ["nested more than 20 levels deep"]),
        ("lr=&a {b: *a}", ["or contains itself"]),
        ("data.url=&a [x, *a]", ["or contains itself"]),
        ("unet.align_corners=1", ["unet.align_corners is 1", "boolean"]),
        ("loss={bce: 0, dice: 0}", ["loss.bce, loss.cross_entropy and loss.dice are all 0"]),
        ("schedule={name: one_cycle, warm_up: 2}", ["schedule.warm_up is 2", "set it to 0"]),
        ("train.progressive=0.75", ["train.progressive gives the size 48", "resnet34_unet needs a multiple of 64"]),
        ("train.progressive=0.6", ["train.progressive is 0.6", "multiple of 0.25"]),
        ("resnet34_unet.norm=null", ["resnet34_unet.norm is None", "'batch' or 'none'"]),
        ("lr", ["'lr' is not an override", "key=value"]),
        ("lr=[1", ["not valid YAML"]),
    ],
)
def test_an_error_in_an_override_is_one_sentence_that_names_the_key(override, words):
    with pytest.raises(ParamsError) as error:
        params.load(COMMITTED, overrides=[override])
    text = str(error.value)
    assert all(word in text for word in words), text
    assert "\n" not in text
    assert error.value.exit_status == 2


@pytest.mark.parametrize("digits", [400, 5000])
@pytest.mark.parametrize("key", ["seed", "lr", "data.path", "x" * 300])
def test_an_error_does_not_echo_what_is_long(key, digits):
    with pytest.raises(ParamsError) as error:
        params.load(COMMITTED, overrides=[f"{key}={digits * '9'}"])
    assert len(str(error.value)) < 350
    assert 70 * "9" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["does not exist"]),
        ("lr: 1\nepochs: \0", ["not valid YAML, line 2: the character 0x0000 is not allowed"]),
        ("lr: &a\n  epochs: *a", ["contains itself"]),
        ("".join(f"{' ' * i}a:\n" for i in range(2000)), ["nested more than 20 levels deep"]),
        ("lr: [1,\nepochs: 2", ["not valid YAML, line 2"]),
        ("- lr\n- epochs", ["has no keys"]),
        ("", ["has no keys"]),
        ("image_size: 64", ["batch_size is missing"]),
    ],
)
def test_an_error_in_the_file_is_one_sentence(file, content, words):
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(ParamsError) as error:
        params.load(file)
    assert all(word in str(error.value) for word in [file.name, *words]), str(error.value)


def test_a_misspelled_key_is_reported_before_the_missing_one(file):
    file.write_text(file.read_text().replace("\nlr:", "\nlearning_rate:"))
    with pytest.raises(ParamsError, match="learning_rate is not a parameter"):
        params.load(file)


def test_a_networks_own_value_wins_over_the_shared_one():
    p = params.load(COMMITTED, overrides=["lr=1e-3", "unet.lr=1e-4", "resnet34_unet.epochs=7", "unet.width=12"])
    assert (p.training("unet").lr, p.training("resnet34_unet").lr) == (1e-4, 1e-3)
    assert (p.training("unet").epochs, p.training("resnet34_unet").epochs) == (p.epochs, 7)
    assert p.training("unet").width == 12
    assert p.describe("unet").startswith("lr 0.0001 (unet.lr), epochs")
    assert f", epochs {p.epochs}, " in p.describe("unet")


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
def test_image_size_must_fit_both_networks(overrides, accepted):
    if accepted:
        params.load(COMMITTED, overrides=overrides)
    else:
        with pytest.raises(ParamsError, match=r"image_size is .*, but resnet34_unet needs a multiple of"):
            params.load(COMMITTED, overrides=overrides)


def test_a_recipe_wins_over_the_file_and_overrides_win_over_the_recipe(file):
    (file.parent / "recipes").mkdir()
    (file.parent / "recipes" / "small.yaml").write_text("lr: 1e-5\nunet: {width: 8}\nepochs: 3\n")
    p = params.load(file, recipe="small", overrides=["epochs=4"])
    assert (p.lr, p.unet.width, p.epochs) == (1e-5, 8, 4)
    assert p.resnet34_unet == params.load(file).resnet34_unet
    with pytest.raises(ParamsError, match=r"large\.yaml does not exist"):
        params.load(file, recipe="large")


def test_url_is_a_string_or_a_list():
    assert params.load(COMMITTED, overrides=["data.url=file:///tmp/x"]).data.url == ("file:///tmp/x",)
    assert len(params.load(COMMITTED).data.url) == 3


def change(file, key, value):
    """Replaces the value of a key that occurs once in the file."""
    text, count = re.subn(rf"(?m)^( *{key}): \S+", rf"\1: {value}", file.read_text())
    assert count == 1
    file.write_text(text)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("lr", 0.05, r"lr was 0\.\d+ and is now 0\.05; .*not recorded.*dvc repro"),
        ("source", "folder", "data.source was synthetic and is now folder; .*not recorded"),
        ("lr", "[", r"changed while this stage ran.*not valid YAML.*not recorded"),
    ],
)
def test_a_stage_fails_if_its_parameters_changed_meanwhile(file, key, value, words):
    with pytest.raises(ParamsError, match=words), stage.for_stage("seed", "lr", "data", path=file):
        change(file, key, value)


def test_other_parameters_may_change_while_a_stage_runs(file):
    with stage.for_stage("data", "split", path=file) as p:
        change(file, "lr", 0.05)
    assert p.lr == params.load(COMMITTED).lr
    assert params.load(file).lr == 0.05


@pytest.mark.parametrize(
    ("progressive", "epochs", "sizes"),
    [
        ("null", 3, [256] * 3),
        ("0.5", 6, [128, 128, 192, 192, 256, 256]),
        ("0.5", 7, [128, 128, 128, 192, 192, 256, 256]),
        ("0.25", 4, [64, 128, 192, 256]),
        ("0.75", 2, [192, 256]),
        ("0.5", 1, [256]),
    ],
)
def test_progressive_sizes_have_equal_shares_of_the_epochs(progressive, epochs, sizes):
    overrides = ["image_size=256", f"epochs={epochs}", f"train.progressive={progressive}"]
    training = params.load(COMMITTED, overrides=overrides).training("unet")
    assert [training.size_at(epoch) for epoch in range(epochs)] == sizes
