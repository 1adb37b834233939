"""`petseg predict`: its options, and what it says."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import petseg
from petseg.inference import command
from petseg.inference.command import Options
from petseg.runtime.errors import PetsegError
from support.photos import photograph, save_network, save_photos


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """Three photographs, and two networks of which ResNet34-UNet is better; no display."""
    monkeypatch.chdir(tmp_path)
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    save_photos(tmp_path, "my pets/a.png", "my pets/b.jpg", "my pets/sub/c.png")
    save_network(tmp_path / "models/unet.safetensors", "unet", 0.8)
    save_network(tmp_path / "models/resnet34_unet.safetensors", "resnet34_unet", 0.9)


def predict(*photos, split=None, index=None, name=None, recursive=False, watching=False, **options):
    command.predict(photos, split, index, name, recursive, watching, Options(**options))


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def test_photographs_are_predicted_by_the_best_network(capsys):
    predict("my pets", save="mask")
    assert files("predictions") == ["a_mask.png", "b_mask.png"]
    expected = petseg.load("models/resnet34_unet.safetensors").predict("my pets/a.png").mask
    assert np.array_equal(Image.open("predictions/a_mask.png"), expected)
    chosen, done = capsys.readouterr().out.splitlines()
    assert chosen.startswith("Network: models/resnet34_unet.safetensors (ResNet34-UNet, valid Dice 0.9000")
    assert done.startswith("2 photographs predicted in ")
    assert done.endswith(" images/s, to predictions")


def test_masks_and_cutouts_are_saved_by_default():
    predict("my pets/a.png", out=Path("results"))
    assert files("results") == ["a_cutout.png", "a_mask.png"]


def test_several_networks_are_averaged(capsys):
    names = ["models/unet.safetensors", "models/resnet34_unet.safetensors"]
    predict("my pets", recursive=True, save="probability, mask", weights=names, flips=True, threshold=0.4)
    assert "Network" not in capsys.readouterr().out
    assert files("predictions")[-2:] == ["sub/c_mask.png", "sub/c_probability.png"]
    model = petseg.load(*names)
    expected = model.predict("my pets/sub/c.png", threshold=0.4, flips=True)
    assert np.array_equal(Image.open("predictions/sub/c_mask.png"), expected.mask)
    probability = np.asarray(Image.open("predictions/sub/c_probability.png")) / 65535
    assert np.abs(probability - expected.probability).max() < 1e-4


@pytest.mark.parametrize(
    ("options", "name", "mode"),
    [
        ({}, "a_cutout.png", "RGBA"),
        ({"format": "webp"}, "a_cutout.webp", "RGB"),  # Pillow drops an alpha that is opaque everywhere, as here
        ({"background": "white"}, "a_cutout.jpg", "RGB"),
        ({"background": "my pets/b.jpg", "format": "png"}, "a_cutout.png", "RGB"),
    ],
    ids=["default", "webp", "color", "picture"],
)
def test_the_format_of_cutouts(options, name, mode):
    predict("my pets/a.png", save="cutout", **options)
    assert files("predictions") == [name]
    with Image.open(Path("predictions", name)) as image:
        assert image.mode == mode


def test_a_repeated_command_does_nothing_and_says_so(capsys):
    predict("my pets", save="mask")
    capsys.readouterr()
    predict("my pets", save="mask")
    assert capsys.readouterr().out.splitlines()[1] == (
        "2 photographs skipped, because results exist in predictions (see --overwrite)"
    )
    predict("my pets", save="mask", overwrite=True)
    assert "2 photographs predicted in" in capsys.readouterr().out


def test_photographs_that_fail_are_told_at_the_end_one_per_line(capsys):
    for name in ("bad1.png", "bad2.png"):
        Path("my pets", name).write_text("no image")
    with pytest.raises(PetsegError) as error:
        predict("my pets", "no.jpg", save="mask")
    lines = str(error.value).splitlines()
    assert [line.removeprefix("error: ").split(" cannot")[0] for line in lines[:2]] == [
        "my pets/bad1.png",
        "my pets/bad2.png",
    ]
    assert lines[2] == "error: no.jpg does not exist; check its name."
    assert files("predictions") == ["a_mask.png", "b_mask.png"]
    assert capsys.readouterr().out.endswith("to predictions; 3 photographs could not be predicted\n")


SPLIT = {"split": "test"}


@pytest.mark.parametrize(
    ("photos", "options", "words"),
    [
        (["a"], {"save": "mask,cutuot"}, "--save has 'cutuot'; it is a list of mask, cutout, overlay, probability, "),
        (["a"], {"save": "mask,"}, "--save has ''; "),
        (["a"], {"threshold": 0.0}, "--threshold is 0; it must be more than 0 and less than 1."),
        (["a"], {"threshold": 1.0}, "--threshold is 1; "),
        (["a"], {"threshold": float("nan")}, "--threshold is nan; "),
        (["a"], {"background": "nocolor"}, "--background is 'nocolor', "),
        (["a"], {"background": "white", "save": "mask"}, "--background is for cut-outs; add cutout to --save, or "),
        (["a"], {"format": "webp", "save": "mask"}, "--format is for cut-outs; "),
        (["a"], {"format": "gif"}, "--format is 'gif'; it must be one of png, webp, jpg."),
        (["a"], {"format": "jpg"}, "--format is jpg, which cannot be transparent; add --background, or "),
        (["x*.jpg"], {}, "There is no photograph in x*.jpg; name files, folders or patterns."),
        (["models"], {}, "There is no photograph in models; name files, folders or patterns, or add --recursive "),
        (["my pets"], {"out": Path("params")}, "The results cannot be written to params (it is a file); name a folder"),
        (["my pets"], {"weights": ["no.safetensors"]}, "no.safetensors cannot be read (No such file or directory); "),
        ([], {}, "Name photographs, folders or patterns, or a split with --split"),
        (["my pets"], SPLIT, "Name photographs, folders or patterns, or a split with --split"),
        (["my pets"], {"index": 3}, "--index and --name choose an image of a split; add --split."),
        ([], SPLIT | {"recursive": True}, "--recursive and --watch are for folders of photographs; "),
        ([], SPLIT | {"index": 0, "name": "a"}, "--index and --name both choose an image; leave one of them out."),
        ([], {"split": "tset"}, "There is no split 'tset'; name one of train, valid, test."),
        ([], SPLIT | {"index": 0}, "data/splits.csv does not exist; run `dvc repro split`, which writes it."),
    ],
)
def test_a_mistake_is_a_sentence_and_nothing_is_written(photos, options, words):
    Path("params").touch()
    before = files(".")
    with pytest.raises(PetsegError) as error:
        predict(*photos, **options)
    assert str(error.value).startswith(words)
    assert "\n" not in str(error.value)
    assert files(".") == before


@pytest.fixture
def data(project):
    """A data set with the two test images a_1 and b_2."""
    for folder in ("data/raw/images", "data/raw/annotations/trimaps"):
        Path(folder).mkdir(parents=True)
    lines = ["name,split,breed,species,width,height"]
    for name, split in (("a_1", "test"), ("t_1", "train"), ("b_2", "test")):
        photograph().save(f"data/raw/images/{name}.jpg")
        Image.new("L", (48, 36), 1).save(f"data/raw/annotations/trimaps/{name}.png")
        lines.append(f"{name},{split},a,cat,48,36")
    Path("data/splits.csv").write_text("\n".join(lines) + "\n")


def test_all_masks_of_a_split(data):
    predict(split="test")
    assert files("predictions") == ["test/a_1_mask.png", "test/b_2_mask.png"]
    expected = petseg.load("models/resnet34_unet.safetensors").predict("data/raw/images/b_2.jpg").mask
    assert np.array_equal(Image.open("predictions/test/b_2_mask.png"), expected)
    predict(split="train", save="overlay", out=Path("out"))
    assert files("out") == ["t_1_overlay.jpg"]


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"index": 1}, "predictions/b_2.png"),
        ({"name": "a_1", "out": Path("out/folder")}, "out/folder/a_1.png"),
        ({"name": "a_1", "out": Path("out/x.png")}, "out/x.png"),
    ],
    ids=["index", "folder", "file"],
)
def test_the_picture_of_one_image_is_saved_and_named(data, capsys, options, path):
    predict(split="test", **options)
    assert capsys.readouterr().out == f"{path}\n"
    with Image.open(path) as image:
        assert image.width > image.height


def test_the_picture_is_opened_where_there_is_a_display(data, monkeypatch):
    opened = []
    monkeypatch.setattr(command.typer, "launch", opened.append)
    monkeypatch.setenv("DISPLAY", ":0")
    predict(split="test", index=0, out=Path("x.png"))
    assert opened == []
    predict(split="test", index=0)
    assert opened == ["predictions/a_1.png"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"out": Path("x.jpg")},
            "--out is x.jpg; the picture is a PNG, so name a file that ends in .png, or a folder.",
        ),
        ({"out": Path("x.png")}, "x.png exists; name another file, or add --overwrite to replace it."),
        ({"save": "mask"}, "--save, --background and --format are not for a picture of one image; leave them out."),
    ],
)
def test_a_mistake_about_the_picture_is_a_sentence(data, options, words):
    Path("x.png").write_text("mine")
    with pytest.raises(PetsegError) as error:
        predict(split="test", index=0, **options)
    assert str(error.value) == words
    assert Path("x.png").read_text() == "mine"


def test_the_picture_shows_the_networks_that_are_named(data, monkeypatch):
    shown = []
    monkeypatch.setattr(command.split, "draw", lambda name, models, *_: shown.extend(models) or Figure())
    predict(split="test", index=0)
    predict(split="test", index=0, weights=["models/unet.safetensors"])
    assert shown == ["UNet", "ResNet34-UNet", "models/unet.safetensors"]
