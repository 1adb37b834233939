"""The page, the PNG files, and the last lines of `make repro`."""

import base64
import json
import re
import xml.etree.ElementTree as ET

import pandas as pd
import pytest
from PIL import Image

from petseg.config import params
from petseg.config.networks import NETWORKS
from petseg.report import summary
from petseg.report.inputs import load
from petseg.report.page import Report
from petseg.report.theme import DARK, LIGHT
from petseg.report.tiles import data_uri, load_picture, tile
from petseg.runtime.provenance import Commit

HERE = Commit("0123456789abcdef0123456789abcdef01234567", ())
FIGURES = {f"{name}.png" for name in ("curves_dice", "curves_loss", "samples", "extremes", "breeds", "distribution")}
LABELS = {"unet": "UNet", "resnet34_unet": "ResNet34-UNet", "slim": "Slim & Co"}


def page_of(root, values, at=HERE) -> str:
    return Report(load(values, root), at).page()


def parse(page: str) -> ET.Element:
    """The page as a tree; fails if a tag is not closed or a character not escaped."""
    void = re.sub(r"<(meta|img|source)\b([^>]*)>", r"<\1\2/>", page.removeprefix("<!doctype html>"))
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
    headline = [text_of(box) for box in page.find(".//div[@class='headline']")]
    assert headline == [
        f"{label}{scores[name]['dice']:.4f} test Dice, 95% confidence interval {interval[label]}"
        for name, label in zip(NETWORKS, interval, strict=True)
    ]
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
        assert breeds[row] == {"Images": "3"} | expected(lambda name, _, breed=breed: f"{means[name][breed]:.4f}")
    listed = ", ".join(f"{label} {median}" for label, median in expected(lambda n, _: f"{medians[n]:.4f}").items())
    assert f"Dotted lines: medians, {listed}." in text_of(page)
    assert table_of(page, "Data") == {
        "train": {"Images": "2", "cat": "2", "dog": "0", "Breeds": "2"},
        "valid": {"Images": "1", "cat": "0", "dog": "1", "Breeds": "1"},
        "test": {"Images": "12", "cat": "6", "dog": "6", "Breeds": "4"},
    }
    assert ("paired" in text_of(page.find(".//section[@aria-labelledby='scores']"))) == (networks == 2)
    assert ("beats" in text_of(page.find(".//h1")) or "No difference" in text_of(page.find(".//h1"))) == (networks == 2)


@pytest.mark.parametrize("networks", [2, 3])
def test_each_tile_shows_its_image_with_its_network(project, networks):
    inputs = load(*reversed(project(networks=networks)))
    page = parse(Report(inputs, HERE).page())
    loaded = [load_picture(inputs, row) for row in range(len(inputs.test))]
    by_name = {picture.name: picture for picture in loaded}

    def figures(section):
        return page.findall(f".//section[@aria-labelledby='{section}']//figure")

    for figure in figures("samples"):
        check_tiles(figure, by_name[text_of(figure.find("figcaption/small"))], ["image", "truth", *NETWORKS])
    ranks = [(name, rank) for name in NETWORKS for rank in ("Best", "Median", "Worst")]
    for figure, (name, rank) in zip(figures("extremes"), ranks, strict=True):
        order = inputs.test.sort_values(name, ascending=False, kind="stable").index
        picture = loaded[order[{"Best": 0, "Median": len(order) // 2, "Worst": -1}[rank]]]
        assert text_of(figure.find("figcaption")) == f"{rank}{picture.breed.replace('_', ' ')}, {picture.name}"
        check_tiles(figure, picture, ["image", name])


def check_tiles(figure, picture, contents):
    boxes = figure.findall("div[@class='tiles']/div")
    for box, what in zip(boxes, contents, strict=True):
        image, label = box.find("img"), {"truth": "ground truth"}.get(what, what)
        assert image.get("src") == data_uri(tile(picture, what))
        assert picture.name in image.get("alt")
        assert text_of(box.find("div")) == (f"{LABELS[what]} {picture.dice[what]:.3f}" if what in NETWORKS else label)


def test_the_page_is_self_contained(project):
    text = page_of(*project())
    for element in parse(text).iter():
        assert element.tag not in ("script", "link", "iframe", "object")
        assert all(element.get(key, "data:").startswith("data:") for key in ("src", "srcset", "poster"))
    assert [element.get("href") for element in parse(text).iter() if element.get("href")] == ["MODEL_CARD.md"]
    assert not re.search(r"<style>[^<]*(url\(|@import)", text)
    assert len(text.encode()) < 5e6


@pytest.mark.parametrize("networks", [1, 2, 3])
def test_each_chart_is_there_in_both_themes_with_all_networks(project, networks):
    page = parse(page_of(*project(networks=networks)))
    third = "Dice of UNet minus Dice of ResNet34-UNet" if networks == 2 else "Dice, mean over images"
    titles = ("Dice, mean over images", "Loss", third, "Distribution of Dice over the test images")
    for chart, title in zip(page.findall(".//picture"), titles, strict=True):
        assert chart.find("source").get("media") == "(prefers-color-scheme: dark)"
        for uri, theme in ((chart.find("img").get("src"), LIGHT), (chart.find("source").get("srcset"), DARK)):
            svg = base64.b64decode(uri.removeprefix("data:image/svg+xml;base64,")).decode("utf-8")
            assert f">{title}</text>" in svg
            assert all(color in svg for color in theme.networks.values())
    style = page.find("head/style").text
    for name, color in LIGHT.networks.items():
        assert re.findall(rf"--{name}: (#\w+)", style) == [color, DARK.networks[name]]


@pytest.mark.parametrize(
    ("overrides", "there"),
    [
        ([], ["on augmented images", "highest validation Dice", "Synthetic images are not", "Pet segmentation"]),
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
        assert "Synthetic" not in after


def test_names_from_the_data_are_escaped(project):
    root, values = project(count=3, breeds=(('<img src=x onerror="1">', "<i>cat</i>"),))
    page = parse(page_of(root, values))
    assert not any(each.tag == "i" or each.get("onerror") for each in page.iter())
    assert '<img src=x onerror="1">' in text_of(page)


@pytest.mark.parametrize(("images", "epochs"), [(1, 1), (3, 2)])
def test_one_breed_few_images_one_epoch(project, images, epochs):
    root, values = project(count=images, breeds=(("Bengal", "cat"),), epochs=epochs)
    report = Report(load(values, root), Commit("unknown", ()))
    text = text_of(parse(report.page()))
    assert "All test images." in text
    assert "The commit is unknown" in text
    figures = report.figures()
    assert figures.keys() == FIGURES
    assert not any(b"Software" in figure for figure in figures.values())  # with a version
    assert (figures, report.page()) == (report.figures(), report.page())


def test_the_commit_and_uncommitted_changes_are_stated(project):
    root, values = project()
    assert f"git checkout {HERE.sha} && dvc repro" in text_of(parse(page_of(root, values)))
    text = text_of(parse(page_of(root, values, Commit(HERE.sha, ("params.yaml",)))))
    assert "not in this commit: params.yaml. Commit them first." in text


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
    root, values = project()
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


def test_few_images_have_no_interval(project, monkeypatch):
    root, values = project()
    change_scores(root, dice_low=None, dice_high=None)
    page = parse(page_of(root, values))
    assert table_of(page, "Results")["Dice, 95% confidence interval"] == expected(lambda name, place: "–")
    monkeypatch.chdir(root)
    assert "[" not in summary.summary()
