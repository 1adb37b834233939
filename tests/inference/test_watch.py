"""Photographs that appear while folders are watched."""

import os
import signal
from pathlib import Path

import pytest
from PIL import Image

from petseg.inference import watch
from petseg.inference.folder import Folder
from petseg.inference.outputs import Outputs
from petseg.inference.predictor import Predictor
from petseg.runtime.errors import Stopped
from support.photos import photograph, save_network, save_photos


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Returns a function that watches the folder `in`; each of the given steps is called instead of a pause."""
    monkeypatch.chdir(tmp_path)
    model = Predictor([save_network(tmp_path / "unet.safetensors")])

    def run(*steps, arguments=("in",), recursive=False, overwrite=False):
        remaining = iter(steps)

        def sleep(seconds):
            step = next(remaining, None)
            if step is None:
                raise Stopped(signal.SIGINT)
            step()

        monkeypatch.setattr(watch.time, "sleep", sleep)
        folder = Folder(model, Outputs(Path("out"), ["mask"]), progress=False)
        watch.watch(folder, arguments, recursive, overwrite)
        return folder.tally

    (tmp_path / "in").mkdir()
    return run


def nothing():
    pass


def size_of(path):
    with Image.open(path) as image:
        return image.size


def exists(name):
    return Path("out", f"{name}_mask.png").exists()


def test_photographs_are_predicted_when_they_appear(run, tmp_path, capsys):
    save_photos(tmp_path / "in", "a.png")
    state = []
    tally = run(
        lambda: save_photos(tmp_path / "in", "b.png", "sub/c.png"),
        lambda: state.append((exists("a"), exists("b"))),
        lambda: state.append((exists("a"), exists("b"))),
        nothing,
    )
    assert state == [(True, False), (True, True)]
    assert (tally.done, tally.skipped, tally.failures) == (2, 0, [])
    assert capsys.readouterr().out == "in/a.png: out/a_mask.png\nin/b.png: out/b_mask.png\n"


def test_a_file_that_is_still_being_written_is_waited_for(run):
    photograph(size=(300, 200)).save("whole.png")
    content, path = Path("whole.png").read_bytes(), Path("in/a.png")
    parts = [content[: len(content) * part // 4] for part in (1, 2, 3, 4)]
    tally = run(*(lambda part=part: path.write_bytes(part) for part in parts), nothing, nothing)
    assert (tally.done, tally.failures) == (1, [])
    assert size_of("out/a_mask.png") == (300, 200)


def test_a_file_that_changes_later_is_predicted_again(run):
    path = Path("in/a.png")
    sizes = []

    def size():
        sizes.append(size_of("out/a_mask.png"))

    def replace():
        photograph(size=(30, 20)).save(path)
        os.utime(path, ns=(0, 0))  # its time may be that of the old file, on a coarse clock

    tally = run(lambda: photograph(size=(60, 40)).save(path), nothing, size, replace, nothing, size)
    assert sizes == [(60, 40), (30, 20)]
    assert tally.done == 2


def test_a_failure_is_told_at_once_and_not_repeated(run, capsys):
    said = []
    tally = run(
        lambda: Path("in/bad.png").write_text("no image"),
        nothing,
        lambda: said.append(capsys.readouterr().err),
        nothing,
        lambda: said.append(capsys.readouterr().err),
    )
    assert said[0].startswith("in/bad.png cannot be decoded")
    assert said[1] == ""
    assert len(tally.failures) == 1


def test_results_that_exist_are_kept_unless_they_are_to_be_overwritten(run, tmp_path):
    save_photos(tmp_path / "in", "a.png")
    os.makedirs("out")
    Path("out/a_mask.png").write_text("old")
    assert run(nothing, nothing).skipped == 1
    assert Path("out/a_mask.png").read_text() == "old"
    assert run(nothing, nothing, overwrite=True).done == 1
    Image.open("out/a_mask.png").load()


def test_patterns_and_subfolders_are_watched(run, tmp_path):
    def add():
        save_photos(tmp_path / "in", "sub/c.png")

    assert run(add, nothing, recursive=True).done == 1
    assert exists("sub/c")
    assert run(lambda: save_photos(tmp_path, "d.png"), nothing, nothing, arguments=["*.png"]).done == 1
    assert exists("d")
