"""Reading: a missing, damaged or foreign file is named with the stage that writes it."""

import numpy as np
import pytest

from petseg.report.inputs import load
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


@pytest.mark.parametrize(("path", "stage"), FILES.items())
def test_a_missing_or_damaged_file_is_named_with_its_stage(project, path, stage):
    root, values = project()
    (root / path).write_bytes(b"")
    with pytest.raises(DataError, match=rf"{path} cannot be used .*run `dvc repro {stage}`"):
        load(values, root)
    (root / path).unlink()
    with pytest.raises(PetsegError, match=rf"{path} is missing; run `dvc repro {stage}` first"):
        load(values, root)


def test_damaged_archives_and_json_without_an_entry_are_refused(project):
    root, values = project()
    whole = (root / "data/predictions.npz").read_bytes()
    for damaged in (whole[:1000], whole[:1000] + bytes(1000) + whole[2000:]):
        (root / "data/predictions.npz").write_bytes(damaged)
        with pytest.raises(DataError, match=r"predictions\.npz cannot be used"):
            load(values, root)
    (root / "data/predictions.npz").write_bytes(whole)
    for name, content, key in (
        ("models/unet.run.json", "{}", "start_sha256"),
        ("metrics/train_unet.json", '{"unet": {}}', "temperature"),
        ("metrics/train_unet.json", "{}", "unet"),
    ):
        (root / name).write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match=rf"{name} cannot be used \('{key}'\)"):
            load(values, root)


@pytest.mark.parametrize("path", ["plots/test/scores.csv", "data/predictions.npz"])
def test_files_of_other_images_are_refused(project, path):
    root, values = project()
    assert isinstance(load(values, root).images, np.memmap)
    if path.endswith(".csv"):
        header, *rows = (root / path).read_text(encoding="utf-8").splitlines()
        (root / path).write_text("\n".join([header, *reversed(rows)]), encoding="utf-8")
    else:
        arrays = dict(np.load(root / path))
        np.savez(root / path, **arrays | {"name": arrays["name"][::-1]})
    with pytest.raises(DataError, match=f"{path}.* is not of the test images in data/splits.csv"):
        load(values, root)


def test_a_name_that_looks_like_a_number_or_missing_value_stays_text(project):
    root, values = project(count=4, breeds=(("NA", "cat"), ("007", "dog")))
    assert list(load(values, root).test["breed"]) == ["NA", "007", "NA", "007"]
