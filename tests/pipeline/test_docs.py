"""The commands and the Python code of docs/using.md, run one after the other in a small project."""

import os
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from petseg.cli import app
from petseg.inference import web_runtime
from petseg.runtime.errors import STOPS, PetsegError
from support.paths import ROOT

PAGE = (ROOT / "docs/using.md").read_text(encoding="utf-8")
BLOCKS = [(language, code) for language, code in re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]
COMMANDS = [line for language, code in BLOCKS if not language for line in code.splitlines()]
PYTHON = [code for language, code in BLOCKS if language == "python"]


@pytest.fixture(scope="module")
def used(finished, tmp_path_factory):
    """A project with photographs where the page expects them."""
    project = finished.copy(tmp_path_factory.mktemp("docs") / "project")
    folder = project.folder
    images = sorted((folder / "data/raw/images").iterdir())
    for name in ("holidays/day 1", "inbox", "own/images", "own/masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for image in images:
        shutil.copy(image, folder / "own/images" / image.name)
        trimap = folder / "data/raw/annotations/trimaps" / f"{image.stem}.png"
        shutil.copy(trimap, folder / "own/masks" / trimap.name)
    for target in ("photo.jpg", "holidays/a.jpg", "holidays/day 1/b.jpg", "inbox/c.jpg"):
        shutil.copy(images[0], folder / target)
    yield project
    project.close()


def run_command(project, line):
    """Runs a line of the page; a split's image and npm's package are put in."""
    words = shlex.split(line, comments=True)
    if words[-2:] == ["--name", "NAME"] or "NAME" in words:
        table = (project.folder / "data/splits.csv").read_text()
        words[words.index("NAME")] = re.search(r"^([^,]+),valid,", table, re.MULTILINE)[1]
    if words[:3] == ["petseg", "recipe", "run"]:
        words[2] = "show"  # it would download
    if words[0] == "pip":
        assert words[1:] == ["install", "petseg[onnx]"]
        return
    if words[:3] == ["petseg", "export", "html"]:
        try:
            web_runtime.find_runtime()
        except PetsegError:  # neither npm nor a copy of the package; tests/inference says so
            return
    if words[:3] == ["dvc", "exp", "run"]:
        words.append("train_unet")  # the stages after it run in other tests
    if "--watch" in words:
        started = project.start(*words)
        started.wait_for("c_cutout.png")
        started.alive()[0].send_signal(signal.SIGINT)
        assert started.end()[0] == 0
        return
    if words[0] == "petseg" and "&&" not in words:
        run_here(project, words[1:])
    else:
        project.run("sh", "-c", shlex.join(words).replace("'&&'", "&&"))
    if words[:2] == ["petseg", "export"]:
        suffix = "html" if words[2] == "html" else "onnx"
        assert any(project.folder.rglob(f"*.{suffix}")), f"`{line}` wrote nothing"


def run_here(project, words):
    """Runs a command of petseg in this process, which has imported torch already."""
    folder, handlers = Path.cwd(), {number: signal.getsignal(number) for number in STOPS}
    os.chdir(project.folder)
    try:
        status = app(words, prog_name="petseg", standalone_mode=False)
    except SystemExit as end:
        status = end.code
    finally:
        os.chdir(folder)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert not status, f"petseg {words} ended with {status}"


def test_the_commands_work_one_after_the_other(used):
    assert len(COMMANDS) > 10
    for line in COMMANDS:
        run_command(used, line)


def test_the_python_code_works(used):
    if not (used.folder / "models/unet.onnx").exists():
        used.run("petseg", "export", "onnx", "--weights", "models/unet.safetensors")
    for code in PYTHON:
        used.run(sys.executable, "-c", code)
    with Image.open(used.folder / "cutout.png") as cutout, Image.open(used.folder / "photo.jpg") as photo:
        assert cutout.size == photo.size


def test_the_results_are_those_that_the_page_lists(used):
    folder = used.folder
    used.run("petseg", "predict", "photo.jpg", "--save", "mask,cutout,overlay,probability", "--out", "all")
    named = re.findall(r"^\| `NAME_(\w+\.\w+)`", PAGE, re.MULTILINE)
    assert sorted(path.name for path in (folder / "all").iterdir()) == sorted(f"photo_{name}" for name in named)
    pictures = {}
    for name in named:
        with Image.open(folder / "all" / f"photo_{name}") as picture:
            pictures[name] = np.asarray(picture)
    assert len({picture.shape[:2] for picture in pictures.values()}) == 1
    assert set(np.unique(pictures["mask.png"])) <= {0, 255}
    assert np.array_equal(pictures["probability.png"] > 32767, pictures["mask.png"] > 0)
