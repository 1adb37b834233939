"""Reading: files that belong together are read; a missing, damaged or foreign file is named with its stage."""

import json

import numpy as np
import pandas as pd
import pytest

from petseg.report.inputs import load, read_masks
from petseg.runtime.errors import DataError, PetsegError

FILES = {
    "data/splits.csv": "split",
    "data/packed/test/images.npy": "split",
    "data/packed/test/trimaps.npy": "split",
    "data/predictions.npz": "evaluate",
    "data/evaluate.run.json": "evaluate",
    "metrics/test.json": "evaluate",
    "plots/test/scores.csv": "evaluate",
    "plots/train/unet.csv": "train_unet",
    "metrics/train_unet.json": "train_unet",
    "models/resnet34_unet.run.json": "train_resnet34_unet",
}


def edit_json(path, *keys, value=None):
    """Sets the entry at `keys` of a JSON file, or removes it if `value` is None."""
    content = json.loads(path.read_text(encoding="utf-8"))
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    if value is None:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    path.write_text(json.dumps(content), encoding="utf-8")


def test_rows_have_the_order_of_the_packed_arrays(project):
    root, values = project()
    before = load(values, root)
    path = root / "plots/test/scores.csv"
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([header, *reversed(rows)]) + "\n", encoding="utf-8")
    after = load(values, root).test
    assert list(after["name"])[:2] == ["Bengal_0", "Birman_1"]
    assert after.equals(before.test)
    assert isinstance(before.images, np.memmap)


@pytest.mark.parametrize(("path", "stage"), FILES.items())
def test_a_missing_or_damaged_file_is_named_with_its_stage(project, path, stage):
    root, values = project()
    (root / path).write_bytes(b"{ no, such, file")
    with pytest.raises(DataError, match=rf"{path} cannot be used .*run `dvc repro {stage}`"):
        read_masks(load(values, root), "unet", [0])
    (root / path).unlink()
    with pytest.raises(PetsegError, match=rf"{path} is missing; run `dvc repro {stage}` first"):
        read_masks(load(values, root), "unet", [0])


@pytest.mark.parametrize(
    ("path", "keys", "value", "words"),
    [
        ("metrics/test.json", ("resnet34_unet", "iou"), "high", r"resnet34_unet\.iou"),
        ("metrics/test.json", ("unet", "loss"), None, r"unet\.loss: Field required"),
        ("metrics/test.json", ("unet",), None, "unet: Field required"),
        (
            "metrics/train_unet.json",
            ("unet", "valid_dice"),
            0.5,
            "valid_dice of epoch 6 is not that of metrics/train_u",
        ),
        ("metrics/train_unet.json", ("unet", "epoch"), 7, "valid_dice of epoch 7"),
        ("data/evaluate.run.json", ("precision", "resnet34_unet"), None, "it has no resnet34_unet"),
        ("models/unet.run.json", ("precision",), None, "precision: Field required"),
    ],
)
def test_a_wrong_or_missing_entry_is_named(project, path, keys, value, words):
    root, values = project()
    edit_json(root / path, *keys, value=value)
    with pytest.raises(DataError, match=words):
        load(values, root)


@pytest.mark.parametrize("quantity", ["loss", "cross_entropy", "soft_dice", "dice"])
@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_curve_needs_every_column_with_finite_numbers(project, split, quantity):
    root, values = project()
    path, column = root / "plots/train/unet.csv", f"{split}_{quantity}"
    table = pd.read_csv(path)
    table.drop(columns=column).to_csv(path, index=False)
    with pytest.raises(DataError, match=f"it has no column {column}"):
        load(values, root)
    table.assign(**{column: np.inf}).to_csv(path, index=False)
    with pytest.raises(DataError, match=f"{column} is not a finite number"):
        load(values, root)


def test_files_of_other_images_are_refused(project):
    root, values = project()
    inputs = load(values, root)
    with np.load(inputs.predictions) as old:
        arrays = dict(old)
    np.savez(inputs.predictions, **arrays | {"name": arrays["name"][::-1]})
    with pytest.raises(DataError, match=r"predictions\.npz cannot be used \(its images are not the test images"):
        read_masks(inputs, "unet", [0])
    np.save(root / "data/packed/test/trimaps.npy", np.zeros((12, 32, 32), dtype=np.uint8))
    with pytest.raises(DataError, match=r"shape is \(12, 32, 32\), but .* say \(12, 64, 64\)"):
        load(values, root)
    path = root / "plots/test/scores.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("Bengal_0,", "Bengal_99,"), encoding="utf-8")
    with pytest.raises(DataError, match=r"scores\.csv cannot be used \(its images are not the test images"):
        load(values, root)


def test_a_name_that_looks_like_a_number_or_missing_value_stays_text(project):
    root, values = project(count=4, breeds=(("NA", "cat"), ("007", "dog")))
    assert list(load(values, root).test["breed"]) == ["NA", "007", "NA", "007"]


def test_masks_of_another_type_or_shape_are_refused(project):
    inputs = load(*reversed(project()))
    truth = inputs.trimaps != 2
    names = inputs.test["name"].to_numpy(dtype=str)
    np.savez(inputs.predictions, name=names, unet=truth.astype(float), resnet34_unet=truth[:5])
    for network in ("unet", "resnet34_unet", "another"):
        with pytest.raises(DataError, match=f"predictions.npz cannot be used .*{network}"):
            read_masks(inputs, network, [0])


def test_only_training_with_patience_may_stop_early(project):
    root, values = project(epochs=6)
    path = root / "plots/train/resnet34_unet.csv"
    table = pd.read_csv(path)
    patient = values.model_copy(update={"train": values.train.model_copy(update={"patience": 2})})
    table.head(5).to_csv(path, index=False)
    assert len(load(patient, root).curves["resnet34_unet"]) == 5
    with pytest.raises(DataError, match=r"has 5 epochs, params.yaml says 6.*run `dvc repro train_resnet34_unet`"):
        load(values, root)
    pd.concat([table, table.tail(1).assign(epoch=7)]).to_csv(path, index=False)
    with pytest.raises(DataError, match="has 7 epochs"):
        load(patient, root)
