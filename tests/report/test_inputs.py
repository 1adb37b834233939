"""Reading: a missing, damaged or foreign file is named with the stage that writes it."""

import json

import numpy as np
import pytest
from PIL import Image

from petseg.report.inputs import load
from petseg.runtime.errors import DataError, PetsegError

FILES = {
    "data/splits.csv": "split",
    "data/predictions/unet/Bengal_0.png": "evaluate",
    "data/evaluate.run.json": "evaluate",
    "metrics/test.json": "evaluate",
    "plots/test/scores.csv": "evaluate",
    "plots/test/conventions.csv": "evaluate",
    "plots/test/reliability.csv": "evaluate",
    "plots/train/unet.csv": "train_unet",
    "metrics/train_unet.json": "train_unet",
    "models/resnet34_unet.run.json": "train_resnet34_unet",
}


@pytest.mark.parametrize(("path", "stage"), FILES.items())
def test_a_missing_or_damaged_file_is_named_with_its_stage(project, path, stage):
    root, values = project()
    (root / path).write_bytes(b"")
    with pytest.raises(DataError, match=rf"{path} cannot be used .*run `dvc repro {stage}`"):
        load(values, root=root)
    (root / path).unlink()
    with pytest.raises(PetsegError, match=rf"{path} is missing; run `dvc repro {stage}` first"):
        load(values, root=root)


def test_json_without_an_entry_is_refused(project):
    root, values = project()
    for name, content, key in (
        ("models/unet.run.json", "{}", "started"),
        ("metrics/train_unet.json", '{"unet": {}}', "temperature"),
        ("metrics/train_unet.json", "{}", "unet"),
    ):
        (root / name).write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match=rf"{name} cannot be used \('{key}'\)"):
            load(values, root=root)


def test_scores_of_other_images_are_refused(project):
    root, values = project()
    path = root / "plots/test/scores.csv"
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([header, *reversed(rows)]), encoding="utf-8")
    with pytest.raises(DataError, match=r"plots/test/scores\.csv is not of the test images in data/splits\.csv"):
        load(values, root=root)


def test_initial_weights_from_elsewhere_are_named(project):
    root, values = project()
    path = root / "models/unet.run.json"
    run = json.loads(path.read_text())
    for encoder, words in (
        (None, "SHA-256 abcdef01…"),
        ("imagenet", "encoder: ResNet-34 trained on ImageNet, SHA-256 abcdef01…"),
        ("mine.pth", "encoder: mine.pth, SHA-256 abcdef01…"),
    ):
        path.write_text(json.dumps(run | {"encoder": encoder, "start_sha256": "abcdef0123"}))
        assert load(values, root=root).training["unet"]["initial_weights"] == words


def test_predictions_are_read_at_the_size_of_the_network(project):
    root, values = project()
    mask = np.zeros((200, 120), bool)
    mask[:, 60:] = True
    Image.fromarray(mask).save(root / "data/predictions/unet/Bengal_0.png")
    found = load(values, root=root).masks["unet"]
    assert found.shape == (12, values.image_size, values.image_size)
    assert np.flatnonzero(found[0, 0]).tolist() == list(range(32, 64))


def test_a_name_that_looks_like_a_number_or_missing_value_stays_text(project):
    root, values = project(count=4, breeds=(("NA", "cat"), ("007", "dog")))
    assert list(load(values, root=root).test["breed"]) == ["NA", "007", "NA", "007"]
