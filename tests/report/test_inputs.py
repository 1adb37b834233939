"""Reading: what belongs together is read, what is missing or foreign ends in a sentence that names the stage."""

import json
import shutil

import numpy as np
import pytest

from petseg.report.inputs import load, read_masks
from petseg.runtime.errors import DataError, PetsegError

FILES = {
    "data/splits.csv": "split",
    "data/packed/test/images.npy": "split",
    "data/packed/test/trimaps.npy": "split",
    "data/predictions.npz": "evaluate",
    "metrics/test.json": "evaluate",
    "plots/test/scores.csv": "evaluate",
    "plots/train/unet.csv": "train_unet",
    "metrics/train_unet.json": "train_unet",
    "models/resnet34_unet.run.json": "train_resnet34_unet",
}


def test_rows_are_the_packed_ones_even_where_the_scores_are_in_another_order(project):
    root, values = project()
    before = load(values, root).test
    path = root / "plots/test/scores.csv"
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([header, *reversed(rows)]) + "\n", encoding="utf-8")
    after = load(values, root).test
    assert list(after["name"])[:2] == ["Bengal_0", "Birman_1"]
    assert after.equals(before)


def test_images_stay_on_disk(project):
    root, values = project()
    assert isinstance(load(values, root).images, np.memmap)


@pytest.mark.parametrize(("path", "stage"), FILES.items())
def test_a_missing_file_names_the_stage_that_writes_it(project, path, stage):
    root, values = project()
    (root / path).unlink()
    with pytest.raises(PetsegError, match=rf"{path} is missing; run `dvc repro {stage}` first"):
        load(values, root)


@pytest.mark.parametrize(("path", "stage"), FILES.items())
def test_a_damaged_file_names_the_stage_too(project, path, stage):
    root, values = project()
    (root / path).write_bytes(b"{ no, such, file")
    with pytest.raises(DataError, match=rf"{path} cannot be used .*run `dvc repro {stage}`"):
        load(values, root)


def test_a_metric_that_is_no_number_is_named(project):
    root, values = project()
    path = root / "metrics/test.json"
    scores = json.loads(path.read_text(encoding="utf-8"))
    scores["resnet34_unet"]["iou"] = "high"
    path.write_text(json.dumps(scores), encoding="utf-8")
    with pytest.raises(DataError, match=r"resnet34_unet\.iou"):
        load(values, root)


def test_predictions_of_other_images_are_refused(project):
    root, values = project()
    path = root / "data/predictions.npz"
    with np.load(path) as old:
        np.savez(path, name=old["name"][::-1], unet=old["unet"], resnet34_unet=old["resnet34_unet"])
    with pytest.raises(DataError, match=r"predictions\.npz is not of the test images"):
        load(values, root)


def test_scores_of_other_images_are_refused(project):
    root, values = project()
    path = root / "plots/test/scores.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("Bengal_0,", "Bengal_99,"), encoding="utf-8")
    with pytest.raises(DataError, match=r"scores\.csv is not of the test images"):
        load(values, root)


def test_images_of_another_size_are_refused(project):
    root, values = project()
    np.save(root / "data/packed/test/images.npy", np.zeros((12, 32, 32, 3), dtype=np.uint8))
    with pytest.raises(DataError, match="12 test images of 64 pixels"):
        load(values, root)


def test_a_name_that_looks_like_a_number_or_like_nothing_stays_text(project):
    root, values = project(count=4, breeds=(("NA", "cat"), ("007", "dog")))
    assert list(load(values, root).test["breed"]) == ["NA", "007", "NA", "007"]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_masks_are_those_of_their_rows(tmp_path, save):
    masks = np.random.default_rng(0).random((7, 5, 5)) > 0.5
    save(tmp_path / "p.npz", unet=masks, resnet34_unet=~masks)
    read = read_masks(tmp_path / "p.npz", "unet", [5, 0, 5])
    assert sorted(read) == [0, 5]
    assert all(np.array_equal(read[row], masks[row]) for row in read)
    assert np.array_equal(read_masks(tmp_path / "p.npz", "resnet34_unet", [6])[6], ~masks[6])


def test_masks_need_the_network_and_the_rows(tmp_path):
    np.savez(tmp_path / "p.npz", unet=np.zeros((2, 4, 4), dtype=bool), resnet34_unet=np.zeros((2, 4, 4)))
    with pytest.raises(DataError, match="cannot be used"):
        read_masks(tmp_path / "p.npz", "unet", [2])
    with pytest.raises(DataError, match="no bool array"):
        read_masks(tmp_path / "p.npz", "resnet34_unet", [0])
    shutil.move(tmp_path / "p.npz", tmp_path / "q.npz")
    with pytest.raises(PetsegError, match="is missing"):
        read_masks(tmp_path / "p.npz", "unet", [0])


def test_a_training_with_patience_may_have_ended_early(project):
    root, values = project(epochs=6)
    curve = root / "plots/train/unet.csv"
    text = curve.read_text()
    curve.write_text("\n".join(text.splitlines()[:4]) + "\n")
    patient = values.model_copy(update={"train": values.train.model_copy(update={"patience": 2})})
    assert len(load(patient, root).curves["unet"]) == 3
    curve.write_text(text + text.splitlines()[-1].replace("6,", "7,", 1) + "\n")
    with pytest.raises(DataError, match="has 7 epochs"):
        load(patient, root)


def test_curves_of_a_training_that_was_stopped_are_refused(project):
    root, values = project(epochs=6)
    curve = root / "plots/train/unet.csv"
    curve.write_text("\n".join(curve.read_text().splitlines()[:4]) + "\n")
    with pytest.raises(DataError, match=r"unet.csv has 3 epochs, params.yaml says 6; run `dvc repro train_unet`"):
        load(values, root)
