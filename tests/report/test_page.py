"""The page, the PNG files, and the last lines of `make repro`."""

import base64
import functools
import json
import re
import shlex
import subprocess
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from matplotlib.figure import Figure
from PIL import Image

from petseg.audit.findings import ERROR, NOTE, WARNING, Finding, Item, single
from petseg.config import params
from petseg.config.networks import NETWORKS
from petseg.report import again, content, overlays, summary
from petseg.report.again import Origin
from petseg.report.inputs import load
from petseg.report.page import Report
from petseg.report.theme import DARK, LIGHT
from petseg.report.tiles import Picture, data_uri, load_picture

HERE = Origin("0123456789abcdef0123456789abcdef01234567")
FIGURES = {f"{name}.png" for name in ("samples", "extremes", "breeds")}
CHARTS = ("forest", "curves_dice", "curves_loss", "breeds", "scores", "reliability")
LABELS = {"unet": "UNet", "resnet34_unet": "ResNet34-UNet", "slim": "Slim & Co"}


def page_of(root, values, at=HERE, charts=False) -> str:
    """The page; without `charts` they are empty, since drawing them takes most of the time."""
    report = Report(load(values, root=root), at)
    if not charts:
        report.charts = dict.fromkeys(report.charts, lambda theme: Figure())
    return report.page()


def parse(page: str) -> ET.Element:
    """The page as a tree; fails if a tag is not closed or a character not escaped."""
    void = re.sub(r"<(meta|img|source|input|br)\b([^>]*)>", r"<\1\2/>", page.removeprefix("<!doctype html>"))
    return ET.fromstring(void)


def text_of(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).replace("\u2060", "").split())


def table_of(page: ET.Element, heading: str) -> dict[str, dict[str, str]]:
    """The first table after a heading: texts by the headers of row and column."""
    elements = list(page.iter())
    start = next(
        i for i, each in enumerate(elements) if each.tag in ("h2", "h3", "summary") and text_of(each) == heading
    )
    table = next(each for each in elements[start:] if each.tag == "table")
    columns = [text_of(cell) for cell in table.find("thead/tr")][1:]
    rows = [[text_of(cell) for cell in row] for row in table.findall("tbody/tr")]
    return {row[0]: dict(zip(columns, row[1:], strict=True)) for row in rows}


def expected(cells) -> dict[str, str]:
    """`cells(name, place)` for each network, under its label."""
    return {LABELS[name]: cells(name, place) for place, name in enumerate(NETWORKS)}


def read_json(path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("networks", [1, 2, 3])
def test_each_number_is_in_its_row_and_column(project, networks):
    root, values = project(networks=networks)
    page = parse(page_of(root, values))
    scores = read_json(root / "metrics/test.json")
    valid_dice = {name: read_json(root / f"metrics/train_{name}.json")[name]["valid_dice"] for name in NETWORKS}
    labels = (
        "Dice",
        "Dice at the original image size",
        "IoU",
        "Normalized surface distance",
        "Expected calibration error",
        "Test loss",
    )
    keys = zip(labels, ("dice", "dice_original", "iou", "nsd", "ece", "loss"), strict=True)
    interval = expected(lambda name, _: f"{scores[name]['dice_low']:.4f} to {scores[name]['dice_high']:.4f}")
    assert table_of(page, "Results") == {
        **{label: expected(lambda name, _, key=key: f"{scores[name][key]:.4f}") for label, key in keys},
        "Dice, 95% confidence interval": interval,
        "Validation Dice": expected(lambda name, _: f"{valid_dice[name]:.4f}"),
        "Temperature": expected(lambda _, place: ("1.5000", "1.6250", "1.7500")[place]),
        "Selected epoch": expected(lambda _, place: str(6 - place)),
        "Parameters": expected(lambda _, place: f"1,942,2{89 + place}"),
        "Training time, h:mm:ss": expected(lambda _, place: ("0:01:35", "0:02:36", "0:03:37")[place]),
    }
    machine = ("Device", "Processor", "CPU threads per process", "Python", "PyTorch", "NumPy", "Albumentations")
    keys = ("device", "device_name", "threads", "python", "torch", "numpy", "albumentations")
    machine = dict(zip(machine, keys, strict=True))
    assert table_of(page, "Training run") == {
        **{label: expected(lambda _, place, key=key: f"{key} {place}") for label, key in machine.items()},
        "Numeric precision": expected(lambda _, place: ("bf16", "fp32", "fp16")[place]),
        "Processes": expected(lambda _, place: str(7 + place)),
        "Images per second": expected(lambda _, place: f"{61 + place}.3"),
        "Initial weights": expected(lambda *_: "random"),
        "Data SHA-256, first 8 digits": expected(lambda _, place: f"{place}bcdef01"),
        "Started (UTC)": expected(lambda _, place: f"2026-02-0{3 + place} 04:05"),
    }
    assert table_of(page, "Evaluation run") == {
        **{label: expected(lambda *_, key=key: f"{key} 8") for label, key in machine.items()},
        "Numeric precision": expected(lambda _, place: ("fp32", "bf16", "tf32")[place]),
    }


@pytest.mark.parametrize("networks", [1, 2, 3])
def test_parameters_breeds_and_splits_are_in_their_row_and_column(project, networks):
    root, values = project(networks=networks)
    unet = values.network("unet").model_copy(update={"lr": 0.00025, "upsampling": "bilinear"})
    values = values.model_copy(update={"unet": unet})
    page = parse(page_of(root, values))
    lr = expected(lambda _, place: ("0.00025", str(values.lr), "0.125")[place])
    assert table_of(page, "Parameters")["lr"] == lr
    used = {name: values.training(name).flat() for name in NETWORKS}
    settings = table_of(page, "All training parameters")
    assert settings.keys() == {key for values in used.values() for key in values if key != "network"}
    for key, cells in settings.items():
        shown = {name: json.dumps(own.get(key, "–"), ensure_ascii=False).strip('"') for name, own in used.items()}
        assert cells == expected(lambda name, _, shown=shown: shown[name])
    test = pd.read_csv(root / "plots/test/scores.csv")
    means, medians = test.groupby("breed").mean(numeric_only=True), test.median(numeric_only=True)
    breeds = table_of(page, "Table of scores by breed")
    for row, breed in (("Bengal, cat", "Bengal"), ("great pyrenees, dog", "great_pyrenees")):
        cells = {"Images": "3"} | expected(lambda name, _, breed=breed: f"{means[name][breed]:.4f}")
        if networks == 2:  # three images have no interval
            cells["Difference"] = f"{means['unet'][breed] - means['resnet34_unet'][breed]:+.3f}"
        assert breeds[row] == cells
    listed = ", ".join(f"{label} {median}" for label, median in expected(lambda n, _: f"{medians[n]:.4f}").items())
    assert (f"Dotted lines: medians, {listed}." in text_of(page)) == (networks != 2)
    assert table_of(page, "Data") == {
        "train": {"Images": "2", "cat": "2", "dog": "0", "Breeds": "2"},
        "valid": {"Images": "1", "cat": "0", "dog": "1", "Breeds": "1"},
        "test": {"Images": "12", "cat": "6", "dog": "6", "Breeds": "4"},
    }
    assert ("paired" in text_of(page.find(".//section[@aria-labelledby='scores']"))) == (networks == 2)
    assert ("beats" in text_of(page.find(".//h1")) or "No difference" in text_of(page.find(".//h1"))) == (networks == 2)


@pytest.mark.parametrize("networks", [2, 3])
def test_each_picture_has_the_layers_of_its_network(project, networks):
    root, values = project(networks=networks)
    inputs, page = load(values, root=root), parse(page_of(root, values))
    by_name = {picture.name: picture for picture in (load_picture(inputs, row) for row in range(len(inputs.test)))}
    samples = page.findall(".//section[@aria-labelledby='samples']//figure")
    assert len(samples) == 5
    for figure in samples:
        name, width, height = re.fullmatch(
            r"(\S+), (\d+) × (\d+) pixels", text_of(figure.find("figcaption/small"))
        ).groups()
        picture = by_name[name]
        assert (int(width), int(height)) == picture.size
        for box, network in zip(figure.findall("div[@class='viewers']/div"), NETWORKS, strict=True):
            check_layers(box.find("div"), picture, network)
            assert text_of(box.findall("div")[1]) == f"{LABELS[network]} {picture.dice[network]:.3f}"
    worst = page.findall(".//section[@aria-labelledby='worst']//figure")
    lowest = inputs.test.set_index("name")[list(NETWORKS)]
    shown = [text_of(figure.find("figcaption/small")) for figure in worst]
    assert shown == list(lowest.min(axis=1).sort_values().index)
    for figure, name in zip(worst, shown, strict=True):
        network, *others = lowest.loc[name].sort_values().index
        check_layers(figure.find("div"), by_name[name], network)
        caption = text_of(figure.find("figcaption"))
        assert content.explanation(by_name[name], network) in caption
        assert all(f"{LABELS[other]}: {by_name[name].dice[other]:.3f}." in caption for other in others)


def check_layers(viewer, picture, network):
    truth, mask = picture.truth, picture.masks[network]
    sources = [image.get("src") for image in viewer.findall("img")]
    layers = [overlays.outline(truth), overlays.cutout(mask), overlays.errors(mask, truth)]
    assert sources == [data_uri(picture.image), *layers]
    assert picture.name in viewer.find("img").get("alt")


def test_an_explanation_tells_area_edge_and_errors():
    truth, mask = np.zeros((2, 10, 10), dtype=bool)
    truth[2:6, 2:7] = True
    mask[2:4, 2:7] = mask[9, :4] = True
    picture = Picture("n", "b", (10, 10), np.zeros((10, 10, 3), np.uint8), truth, {"unet": mask}, {})
    text = content.explanation(picture, "unet")
    assert text == "Foreground: 20% of the image. Missed: 50% of it; added: 20%."
    truth[0, 0] = True
    assert "touches its edge" in content.explanation(picture, "unet")
    truth[:] = False
    assert content.explanation(picture, "unet") == "No foreground in the ground truth; 14% of the image is segmented."


def test_the_page_is_self_contained(project):
    text = page_of(*project())
    for element in parse(text).iter():
        assert element.tag not in ("link", "iframe", "object")
        assert all(element.get(key, "data:").startswith("data:") for key in ("src", "srcset", "poster"))
    assert [element.get("href") for element in parse(text).iter() if element.get("href")] == ["MODEL_CARD.md"]
    assert not re.search(r"<style>[^<]*(url\(|@import)", text)
    assert len(text.encode()) < 5e6


@pytest.mark.parametrize("networks", [1, 2, 3])
def test_each_chart_is_there_in_both_themes_with_all_networks(project, networks):
    page = parse(page_of(*project(networks=networks), charts=True))
    breeds = "Dice of UNet minus Dice of ResNet34-UNet" if networks == 2 else "Dice, mean over images"
    scores = "Dice of ResNet34-UNet" if networks == 2 else "Distribution of Dice over the test images"
    titles = ("test Dice", breeds, scores, "Dice, mean over images", "Loss", "probability of foreground")
    for chart, title in zip(page.findall(".//picture"), titles, strict=True):
        assert chart.find("source").get("media") == "(prefers-color-scheme: dark)"
        for uri, theme in ((chart.find("img").get("src"), LIGHT), (chart.find("source").get("srcset"), DARK)):
            svg = base64.b64decode(uri.removeprefix("data:image/svg+xml;base64,")).decode("utf-8")
            assert f">{title}</text>" in svg
            drawn = any if title.startswith("Dice of UNet minus") else all  # this chart has the color of the better one
            assert drawn(color in svg for color in theme.networks.values())
    style = page.find("head/style").text
    for name, color in LIGHT.networks.items():
        assert re.findall(rf"--{name}: (#\w+)", style) == [color, DARK.networks[name]]


@pytest.mark.parametrize(
    ("overrides", "there"),
    [
        ([], ["on augmented images", "highest validation Dice", "The images are synthetic", "Pet segmentation"]),
        (["evaluate.flips=true", "train.select=valid_loss"], ["Test-time augmentation", "lowest validation loss"]),
        (["data.source=oxford", "train.augment=none"], ["CC BY-SA 4.0", "photographs from Oxford-IIIT Pet"]),
        (["data.source=folder"], ["Image segmentation", "your own data set"]),
        (["loss.bce=0.25", "loss.dice_over=image"], ["0.25 × binary cross entropy + soft Dice loss over the image."]),
        (
            ["loss={bce: 0, cross_entropy: 1, dice: 2}", "unet.classes=2", "resnet34_unet.classes=2"],
            ["Cross entropy of two classes + 2 × soft Dice loss over the batch"],
        ),
    ],
)
def test_the_text_depends_on_the_parameters(project, overrides, there):
    root, _ = project()
    default = ["data.source=synthetic", "evaluate.flips=false", "train.select=valid_dice", "train.augment=a"]
    before, after = (
        text_of(parse(page_of(root, params.load(root / "params.yaml", overrides=default + more))))
        for more in ([], overrides)
    )
    for words in there:
        assert words in after
        assert not overrides or words not in before
    if "data.source=oxford" in overrides:
        assert "augmented" not in after
        assert "synthetic" not in after


def test_names_from_the_data_are_escaped(project):
    root, values = project(count=3, breeds=(('<img src=x onerror="1">', "<i>cat</i>"),))
    page = parse(page_of(root, values))
    assert not any(each.tag == "i" or each.get("onerror") for each in page.iter())
    assert '<img src=x onerror="1">' in text_of(page)


@pytest.mark.parametrize(("images", "epochs"), [(1, 1), (3, 2)])
def test_one_breed_few_images_one_epoch(project, images, epochs):
    root, values = project(count=images, breeds=(("Bengal", "cat"),), epochs=epochs)
    report = Report(load(values, root=root), Origin("unknown"))
    page = report.page()
    text = text_of(parse(page))
    assert "All test images." in text
    assert "The commit is unknown" in text
    figures = report.figures()
    assert figures.keys() == FIGURES
    assert not any(b"Software" in figure for figure in figures.values())  # with a version
    assert (figures, page) == (report.figures(), report.page())


def test_the_commit_and_uncommitted_changes_are_stated(project):
    root, values = project()
    assert f"git checkout {HERE.sha} && dvc repro" in text_of(parse(page_of(root, values)))
    text = text_of(parse(page_of(root, values, Origin(HERE.sha, ("dvc.yaml",)))))
    assert "not in this commit: dvc.yaml. Commit them first." in text


@pytest.mark.parametrize("networks", [1, 2, 3])
def test_the_summary_has_each_network_and_only_a_report_that_exists(project, monkeypatch, networks):
    root, _ = project(networks=networks)
    monkeypatch.chdir(root)
    *lines, last = summary.summary().splitlines()
    for line, (name, own) in zip(lines, read_json(root / "metrics/test.json").items(), strict=True):
        numbers = f"{own['dice']:.4f}  [{own['dice_low']:.4f}, {own['dice_high']:.4f}]"
        assert re.split("  +", line, maxsplit=1) == [LABELS[name], f"test Dice {numbers}"]
    assert re.fullmatch("Report +report/index.html does not exist; `dvc repro report` makes it", last)
    (root / "report").mkdir()
    (root / "report/index.html").touch()
    assert re.fullmatch("Report +report/index.html", summary.summary().splitlines()[-1])


def change_scores(root, **scores):
    path = root / "metrics/test.json"
    written = json.loads(path.read_text())
    for name in written:
        written[name] = {key: value for key, value in (written[name] | scores).items() if value is not None}
    path.write_text(json.dumps(written))


def test_misleading_scores_are_announced(project):
    root, values = project(count=30)
    assert "Warning:" not in page_of(root, values)
    change_scores(root, empty_truths=2, dice_nonempty=0.4321)
    paths = list((root / "data/predictions/unet").iterdir())
    for path in paths:
        Image.new("1", (8, 8)).save(path)
    page, images = parse(page_of(root, values)), len(paths)
    assert "Warning: UNet predicts no pet in any test image" in text_of(page)
    assert f"Warning: 2 of {images} test images have no foreground." in text_of(page)
    row = table_of(page, "Results")[f"Dice over the {images - 2} images with foreground"]
    assert row == expected(lambda name, place: "0.4321")


def test_few_images_are_announced(project):
    root, values = project()
    assert "Warning: There are only 12 test images" in text_of(parse(page_of(root, values)))


def test_what_an_audit_finds_is_announced_but_for_notes(project):
    root, values = project()
    found = (
        Finding("inverted-masks", ERROR, "All are inverted.", single({"a_1": "", "a_2": ""})),
        Finding("leak", WARNING, "One is in two splits.", (Item(("a_1", "b_1", "b_2")),)),
        Finding("holes", NOTE, "One has holes.", single({"a_1": ""})),
    )
    text = text_of(parse(Report(load(values, found, root), HERE).page()))
    assert "Warning: The data set may have mistakes: inverted-masks (2 images), leak (3 images). petseg audit" in text
    assert "holes" not in text


def test_chips_say_what_the_results_depend_on(project):
    root, values = project()
    page = parse(page_of(root, values, Origin(HERE.sha, ("src/petseg/optim.py",), (), "laptop-1")))
    chips = [text_of(chip) for chip in page.findall(".//ul[@class='chips']/li")]
    assert chips == [
        "data synthetic images",
        f"image size {values.image_size} × {values.image_size}",
        f"seed {values.seed}",
        "experiment laptop-1",
        "commit 0123456 + changes",
        "precision bf16 and fp32",
        "processor device_name 0 and device_name 1",
    ]


def test_the_command_repeats_the_parameters(git_project, monkeypatch):
    sha = git_project("commit", lr=0.003, name="a")
    assert again.origin() == Origin(sha)
    assert again.origin().command == f"git checkout {sha} && dvc repro"
    git_project(lr=0.5, name="it's, b")
    monkeypatch.setenv("DVC_EXP_NAME", "brave-cat")
    origin = again.origin()
    assert (origin.changed, origin.experiment) == ((), "brave-cat")
    words = shlex.split(origin.command)
    assert words[:7] == ["git", "checkout", sha, "&&", "dvc", "exp", "run"]
    assert words[7::2] == ["-S", "-S"]
    assert words[8] == "lr=0.5"
    [override] = OverridesParser.create().parse_overrides([words[10]])
    assert (override.key_or_group, override.value()) == ("name", "it's, b")
    git_project(lr=0.5, other=1)  # -S cannot remove a key
    assert again.origin().changed == ("params.yaml",)


@pytest.fixture
def git_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git = functools.partial(subprocess.run, check=True, capture_output=True, text=True)
    git(["git", "init", "--quiet"])

    def write(commit="", **values):
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
        if commit:
            git(["git", "add", "."])
            git(["git", "-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet", "-m", "message"])
        return git(["git", "rev-parse", "HEAD"]).stdout.strip()

    return write


def test_paper_figures_have_a_column_s_width_and_say_where_they_are_from(project):
    root, values = project()
    inputs = load(values, root=root)
    files = Report(inputs, HERE).paper_figures()
    assert files.keys() == {f"{name}.{kind}" for name in CHARTS for kind in ("svg", "pdf")}
    for name, figure in files.items():
        text = figure.decode("latin-1")
        assert HERE.sha in text
        if name.endswith("svg"):
            assert float(re.search(r'width="([\d.]+)pt"', text)[1]) == pytest.approx(252)
            assert "<text" not in text  # letters are outlines
        else:
            assert float(re.search(r"/MediaBox \[ 0 0 ([\d.]+) ", text)[1]) == pytest.approx(252)
            assert "/FontFile2" in text
    assert files == Report(inputs, HERE).paper_figures()


def test_few_images_have_no_interval(project, monkeypatch):
    root, values = project()
    change_scores(root, dice_low=None, dice_high=None)
    page = parse(page_of(root, values))
    assert table_of(page, "Results")["Dice, 95% confidence interval"] == expected(lambda name, place: "–")
    monkeypatch.chdir(root)
    assert "[" not in summary.summary()
