"""The page, the PNG files, the last lines of `make repro`, and the stage itself."""

import io
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from petseg.config import params
from petseg.config.training import LossParams
from petseg.report import summary
from petseg.report.inputs import load
from petseg.report.page import Report, breed_table, count, duration, loss_words, split_table
from petseg.report.provenance import Commit, commit

PROJECT = Path(__file__).resolve().parents[2]
HERE = Commit("0123456789abcdef0123456789abcdef01234567", ())
FIGURES = {f"{name}.png" for name in ("curves_dice", "curves_loss", "samples", "extremes", "breeds", "distribution")}


class Page(HTMLParser):
    """Collects tags, their attributes and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "source", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def page_of(root, values, at=HERE) -> str:
    return Report(load(values, root), at).page()


def test_the_page_is_whole_and_needs_nothing_else(project):
    root, values = project()
    text = page_of(root, values)
    page = Page(text)
    assert page.open == []
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object")
        for key in ("src", "srcset", "href", "poster"):
            assert attributes.get(key, "data:").startswith("data:")
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert len(text.encode()) < 5e6


def test_every_picture_is_described_and_every_chart_has_two_themes(project):
    page = Page(page_of(*project()))
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 4 + 5 * 4 + 2 * 3 * 2
    assert all(len(attributes["alt"]) > 4 for attributes in images)
    dark = [attributes for tag, attributes in page.tags if tag == "source"]
    assert [attributes["media"] for attributes in dark] == ["(prefers-color-scheme: dark)"] * 4
    light = [attributes["src"] for attributes in images if attributes["src"].startswith("data:image/svg")]
    assert len({*light, *(attributes["srcset"] for attributes in dark)}) == 8


def test_all_numbers_of_the_metrics_are_told(project):
    root, values = project()
    text = Page(page_of(root, values)).text()
    for scores in json.loads((root / "metrics/test.json").read_text(encoding="utf-8")).values():
        assert all(f"{value:.4f}" in text for value in scores.values())
    for told in (
        "0.8754 (6)",
        "1 942 289",
        "1 min 35 s",
        "61.3",
        "A Processor",
        "2.15.0",
        "2026-02-03 04:05",
        "ab" * 32,
    ):
        assert told in text
    assert f"git checkout {HERE.sha} && dvc repro" in text
    assert "Drawn pets are not photographs" in text


def test_the_better_network_is_named_first(project):
    root, values = project()
    scores = json.loads((root / "metrics/test.json").read_text(encoding="utf-8"))
    assert scores["resnet34_unet"]["dice"] > scores["unet"]["dice"]
    told = f"ResNet34-UNet reaches a mean Dice of {scores['resnet34_unet']['dice']:.4f} and UNet"
    assert told in Page(page_of(root, values)).text()


def test_a_networks_own_value_is_shown(project):
    root, values = project()
    own = values.model_copy(update={"unet": values.unet.model_copy(update={"lr": 0.00025})})
    assert re.search(
        r"unet\.lr, not the shared value\">0\.00025</td><td>" + re.escape(str(values.lr)) + "<", page_of(root, own)
    )


def test_real_photographs_are_credited(project):
    root, values = project()
    real = values.model_copy(update={"data": values.data.model_copy(update={"source": "oxford"})})
    text = Page(page_of(root, real)).text()
    assert "CC BY-SA 4.0" in text
    assert "Drawn pets" not in text


def test_names_from_the_data_are_escaped(project):
    root, values = project(count=3, breeds=(('<img src=x onerror="1">', "<i>cat</i>"),))
    page = Page(page_of(root, values))
    assert not any(tag == "i" or "onerror" in attributes for tag, attributes in page.tags)
    assert '<img src=x onerror="1">' in page.text()


@pytest.mark.parametrize(("images", "epochs"), [(1, 1), (3, 2)])
def test_one_breed_few_images_one_epoch(project, images, epochs):
    root, values = project(count=images, breeds=(("Bengal", "cat"),), epochs=epochs)
    report = Report(load(values, root), Commit("unknown", ()))
    text = Page(report.page()).text()
    assert "These are all test images." in text
    assert "The commit is not known" in text
    assert set(report.figures()) == FIGURES


def test_figures_are_pictures_with_the_same_bytes_each_time(project):
    root, values = project()
    first, second = (Report(load(values, root), HERE).figures() for _ in range(2))
    assert set(first) == FIGURES
    assert first == second
    assert all(Image.open(io.BytesIO(content)).width > 700 for content in first.values())


def test_uncommitted_changes_are_told(project):
    text = Page(page_of(*project(), Commit(HERE.sha, ("params.yaml",)))).text()
    assert "with changes in params.yaml" in text
    assert "commit them first" in text


def test_commit_sees_changes_of_sources_alone(tmp_path):
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]

    def run(*arguments):
        subprocess.run([*git, *arguments], cwd=tmp_path, check=True, capture_output=True)

    run("init")
    assert commit(tmp_path) == Commit("unknown", ())
    (tmp_path / "src").mkdir()
    for name in ("params.yaml", "src/a b.py", "metrics.json"):
        (tmp_path / name).write_text("1", encoding="utf-8")
    run("add", ".")
    run("commit", "-m", "first")
    clean = commit(tmp_path)
    assert re.fullmatch("[0-9a-f]{40}", clean.sha)
    assert clean.changed == ()
    for name in ("src/a b.py", "src/new.py", "metrics.json"):
        (tmp_path / name).write_text("2", encoding="utf-8")
    assert commit(tmp_path) == Commit(clean.sha, ("src/a b.py", "src/new.py"))


def test_tables_count_and_average(project):
    root, values = project(count=6)
    inputs = load(values, root)
    train, valid, test = split_table(inputs.splits)
    assert (train["images"], valid["images"], test["images"], test["breeds"]) == (2, 1, 6, 4)
    assert test["species"] == {"cat": 4, "dog": 2}
    bengal = breed_table(inputs.test)[0]
    assert (bengal["breed"], bengal["images"]) == ("Bengal", 2)
    assert bengal["unet"] == pytest.approx(inputs.test["unet"][[0, 4]].mean())


def test_words_for_numbers():
    assert [duration(seconds) for seconds in (0.4, 59.4, 59.6, 185, 7805)] == [
        *("0 s", "59 s", "1 min 00 s", "3 min 05 s", "2 h 10 min")
    ]
    assert count(31037633) == "31\u202f037\u202f633"


def test_summary_tells_both_networks_and_the_page(project, monkeypatch):
    root, _ = project()
    monkeypatch.chdir(root)
    scores = json.loads((root / "metrics/test.json").read_text(encoding="utf-8"))
    lines = summary.summary().splitlines()
    assert len(lines) == 3
    for line, (label, name) in zip(lines, (("UNet", "unet"), ("ResNet34-UNet", "resnet34_unet")), strict=False):
        wanted = [f"{scores[name][key]:.4f}" for key in ("dice", "dice_low", "dice_high")]
        assert line.startswith(f"{label} ")
        assert re.findall(r"0\.\d{4}", line) == wanted
    assert lines[2].endswith("report/index.html")


def run_stage(root):
    command = [sys.executable, root / "stages/report.py"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_the_stage_writes_all_and_says_what_is_missing(project):
    root, _ = project()
    (root / "stages").mkdir()
    for name in ("_here.py", "report.py"):
        shutil.copy(PROJECT / "stages" / name, root / "stages")
    (root / "src").symlink_to(PROJECT / "src")
    done = run_stage(root)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in (root / "plots").glob("*.png")} == FIGURES
    assert (root / "report/index.html").read_text(encoding="utf-8").endswith("</html>")
    (root / "metrics/test.json").unlink()
    failed = run_stage(root)
    assert failed.returncode == 1
    assert failed.stderr == "error: metrics/test.json is missing; run `dvc repro evaluate` first.\n"


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"bce": 1.0, "dice": 1.0}, "Binary cross entropy + soft Dice loss over the batch"),
        ({"bce": 1.0}, "Binary cross entropy"),
        ({"cross_entropy": 1.0}, "Cross entropy of two classes"),
        (
            {"bce": 0.25, "dice": 2.0, "dice_over": "image"},
            "0.25 × binary cross entropy + 2 × soft Dice loss over the image",
        ),
    ],
)
def test_the_loss_is_told_in_words(weights, words):
    zero = {"bce": 0.0, "cross_entropy": 0.0, "dice": 0.0, "dice_over": "batch", "smooth": 0.0}
    assert loss_words(LossParams(**(zero | weights))) == words


def test_the_page_tells_every_parameter_and_by_what_the_epoch_was_chosen(project):
    root, values = project()
    page = Page(page_of(root, values)).text()
    for key, value in values.training("resnet34_unet").flat().items():
        assert f"{key} " in page or key == "network"
        assert str(value) in page
    assert "the epoch with the highest Dice on valid" in page
    assert "Binary cross entropy + soft Dice loss over the batch. The dot" in page
    assert "mirror image" not in page
    other = params.load(root / "params.yaml", overrides=["train.select=valid_loss", "evaluate.flips=true"])
    page = Page(page_of(root, other)).text()
    assert "the epoch with the lowest loss on valid" in page
    assert "mirror image" in page
