"""Many photographs: what is written, skipped, refused, and left when it is stopped."""

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from petseg.inference import folder
from petseg.inference.find import Job, find
from petseg.inference.folder import Folder
from petseg.inference.outputs import Outputs
from petseg.inference.photo import Photo
from petseg.inference.predictor import Predictor
from petseg.runtime.errors import PetsegError, Stopped
from support.photos import save_network, save_photos


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Predictor([save_network(tmp_path_factory.mktemp("models") / "unet.safetensors")])


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PETSEG_WORKERS", "2")


def written(out="out"):
    return sorted(str(path.relative_to(out)) for path in Path(out).rglob("*") if path.is_file())


def test_every_photograph_gets_its_results(model, tmp_path):
    save_photos(tmp_path / "in", "a b.png", "猫.jpg", "sub/c.webp")
    run = Folder(model, Outputs(Path("out"), ["mask"]), threshold=0.45)
    assert run.run(find(["in"], recursive=True)) == []
    assert written() == ["a b_mask.png", "sub/c_mask.png", "猫_mask.png"]
    assert (run.tally.done, run.tally.skipped) == (3, 0)
    for photo, mask in (("a b.png", "a b"), ("sub/c.webp", "sub/c")):
        expected = model.predict(tmp_path / "in" / photo, threshold=0.45).mask
        assert np.array_equal(Image.open(f"out/{mask}_mask.png"), expected)


def test_a_photograph_is_skipped_if_all_its_results_exist(model, tmp_path):
    save_photos(tmp_path / "in", "a.png", "b.png", "c.png")
    os.makedirs("out")
    for name in ("a_mask.png", "a_probability.png", "b_mask.png"):
        Path("out", name).write_text("old")
    run = Folder(model, Outputs(Path("out"), ["mask", "probability"]))
    run.run(find(["in"]))
    assert (run.tally.done, run.tally.skipped) == (2, 1)
    assert Path("out/a_mask.png").read_text() == "old"
    Image.open("out/b_mask.png").load()
    run.run(find(["in"]), overwrite=True)
    assert (run.tally.done, run.tally.skipped) == (5, 1)
    Image.open("out/a_mask.png").load()


def test_what_fails_is_told_in_order_and_the_others_are_done(model, tmp_path):
    save_photos(tmp_path / "in", *(f"{i}.png" for i in range(6)))
    (tmp_path / "in/1.png").write_text("no image")
    (tmp_path / "in/4.png").write_bytes((tmp_path / "in/5.png").read_bytes()[:-500])
    run = Folder(model, Outputs(Path("out"), ["mask"]))
    failures = run.run([*find(["in"]), Job(Path("no.jpg"), Path("no"))])
    assert [failure.split(maxsplit=1)[0] for failure in failures] == ["in/1.png", "in/4.png", "no.jpg"]
    assert "no.jpg does not exist" in failures[2]
    assert failures == run.tally.failures
    assert written() == [f"{i}_mask.png" for i in (0, 2, 3, 5)]


def test_memory_that_runs_out_is_the_failure_of_one_photograph(model, tmp_path):
    save_photos(tmp_path / "in", "a.png", "b.png")

    def open_photo(job):
        if job.path.name == "a.png":
            raise MemoryError("Unable to allocate 9 GiB")
        return Photo(job.path)

    [failure] = Folder(model, Outputs(Path("out"), ["mask"]), open_photo=open_photo).run(find(["in"]))
    assert failure == "in/a.png needs more memory than there is; make it smaller."
    assert written() == ["b_mask.png"]


def test_photographs_whose_results_have_the_same_name_are_refused(model, tmp_path):
    save_photos(tmp_path, "x/a.png", "y/a.png", "z/b.png")
    run = Folder(model, Outputs(Path("out"), ["mask"]))
    [failure] = run.run(find(["x/a.png", "y/a.png", "z/b.png"]))
    assert failure.startswith("y/a.png and x/a.png would have results of the same name")
    assert np.array_equal(Image.open("out/a_mask.png"), model.predict("x/a.png").mask)
    assert run.run(find(["y/a.png"]), overwrite=True) == [failure]  # also later, as with --watch
    assert written() == ["a_mask.png", "b_mask.png"]


def test_no_photograph_is_replaced_by_results(model, tmp_path):
    save_photos(tmp_path / "in", "a.png", "a_mask.png")
    before = Path("in/a_mask.png").read_bytes()
    [failure] = Folder(model, Outputs(Path("in"), ["mask"])).run(find(["in/a.png", "in/a_mask.png"]), overwrite=True)
    assert failure == "in/a.png would replace the photograph in/a_mask.png; choose another folder with --out."
    assert Path("in/a_mask.png").read_bytes() == before
    assert written("in") == ["a.png", "a_mask.png", "a_mask_mask.png"]


def test_a_full_disk_ends_everything_with_one_sentence(model, small_disk, tmp_path):
    save_photos(tmp_path / "in", *(f"{i}.png" for i in range(4)), size=(900, 900))
    with pytest.raises(PetsegError, match=r"^The disk is full: .*probability.png could not be written"):
        Folder(model, Outputs(small_disk, ["probability"])).run(find(["in"]))
    for path in small_disk.iterdir():
        Image.open(path).load()


def test_a_signal_ends_the_threads_and_leaves_complete_files(model, tmp_path, monkeypatch):
    save_photos(tmp_path / "in", *(f"{i:03}.png" for i in range(200)), size=(400, 300))
    monkeypatch.setenv("PETSEG_WORKERS", "3")
    opened = []

    def open_photo(job):
        opened.append(job)
        if len(opened) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return Photo(job.path)

    def stop(number, frame):
        raise Stopped(number)

    before, threads = signal.signal(signal.SIGINT, stop), threading.active_count()
    try:
        with pytest.raises(Stopped):
            Folder(model, Outputs(Path("out")), open_photo=open_photo).run(find(["in"]))
    finally:
        signal.signal(signal.SIGINT, before)
    assert threading.active_count() == threads
    assert len(opened) < 200
    assert [name for name in written() if name.endswith(".part")] == []
    for name in written():
        Image.open(Path("out", name)).load()
    resumed = Folder(model, Outputs(Path("out")))
    resumed.run(find(["in"]))
    assert len(written()) == 400
    assert resumed.tally.done + resumed.tally.skipped == 200
    assert resumed.tally.skipped >= 1


def test_large_photographs_are_in_memory_one_at_a_time(model, tmp_path, monkeypatch):
    save_photos(tmp_path / "in", *(f"{i}.png" for i in range(6)), size=(40, 30))
    monkeypatch.setattr(folder, "PIXELS", 2 * 40 * 30 - 1)
    monkeypatch.setenv("PETSEG_WORKERS", "4")
    inside, most = [], []

    class Slow(Outputs):
        def write(self, prediction, name, proceed):
            inside.append(name)
            most.append(len(inside))
            super().write(prediction, name, proceed)
            inside.remove(name)

    run = Folder(model, Slow(Path("out"), ["mask"]))
    run.run(find(["in"]))
    assert (run.tally.done, max(most)) == (6, 1)


def test_notes_about_a_photograph_are_told(model, tmp_path, capsys):
    save_photos(tmp_path, "a.png")
    frames = [Image.new("RGB", (30, 20), color) for color in ("red", "blue", "green")]
    frames[0].save("b.gif", save_all=True, append_images=frames[1:])
    Folder(model, Outputs(Path("out"), ["mask"])).run(find(["a.png", "b.gif"]))
    assert "note: b.gif: animated: only the first of 3 frames is used\n" in capsys.readouterr().err
