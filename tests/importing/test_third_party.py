"""Data sets of others, from their folder through `petseg import` to the official layout, pixel by pixel."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from petseg.data import images, layout
from petseg.data.sources import folder
from support import datasets
from support.paths import ROOT


def petseg(where: Path, *arguments: str, status: int = 0) -> str:
    """Runs the command in a folder; returns what it prints."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *filter(None, sys.path)])}
    command = [sys.executable, "-m", "petseg", *arguments]
    done = subprocess.run(command, cwd=where, env=env | {"PETSEG_WORKERS": "1"}, capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def snapshot(where: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(where.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("make", datasets.MAKERS, ids=lambda make: make.__name__)
def test_a_data_set_is_imported_with_what_the_program_says_to_type(tmp_path: Path, make: Callable) -> None:
    made = make(tmp_path / "theirs")
    before = snapshot(made.folder)
    command = ["import", "theirs", "--out", "own-clean"]
    if made.options:
        asked = petseg(tmp_path, *command, status=1)
        option = made.options[0].replace("colour", "color")
        assert "choose" in asked
        assert option in asked.splitlines()[-1]
        assert not (tmp_path / "own-clean").exists()
    assert "Nothing was written" in petseg(tmp_path, *command, *made.options, "--dry-run")
    assert not (tmp_path / "own-clean").exists()
    said = petseg(tmp_path, *command, *made.options)
    assert snapshot(made.folder) == before
    check_layout(tmp_path / said.splitlines()[-1].split("data.path=")[1], tmp_path / "raw", made)


def check_layout(source: Path, raw: Path, made: datasets.Made) -> None:
    """Checks what the source `folder` makes of the imported data set."""
    raw.mkdir()
    folder.fetch(source, raw, workers=1)
    lists = [[entry.name for entry in entries] for entries in layout.check(raw)]
    assert sorted(lists[0] + lists[1]) == sorted(made.masks)
    if made.lists:
        assert lists == list(made.lists.values())
    for name, expected in made.masks.items():
        image, trimap = images.read_pair(layout.image_path(raw, name), layout.trimap_path(raw, name))
        np.testing.assert_array_equal(trimap, expected, name)
        inside = image.mean(axis=-1)[expected == 1]
        assert inside.mean() > 1.5 * image.mean(axis=-1)[expected == 2].mean(), "the mask belongs to another image"


def test_run_lengths_of_coco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = datasets.coco(tmp_path / "theirs", rle=True)
    command = ["import", "theirs", "--out", "own-clean", "--pet", "cat,dog"]
    try:
        import pycocotools  # noqa: F401
    except ImportError:
        assert '`pip install "petseg[coco]"`' in petseg(tmp_path, *command, status=1)
        pytest.skip("the rest needs the package pycocotools")
    petseg(tmp_path, *command)
    check_layout(tmp_path / "own-clean", tmp_path / "raw", made)


def test_a_folder_with_spaces_and_quotes_gives_a_command_that_can_be_typed(tmp_path: Path) -> None:
    datasets.carvana(tmp_path / "theirs")
    said = petseg(tmp_path, "import", "theirs", "--out", "it's mine")
    words = shlex.split(said.splitlines()[-1])
    assert words == ["dvc", "exp", "run", "-S", "data.source=folder", "-S", "data.path='it\\'s mine'"]
