"""Equal images in several splits, and the stage that avoids them."""

import numpy as np
import pandas as pd
from PIL import Image

from petseg.data import copies
from petseg.data.layout import Entry
from petseg.data.splits import Assignment
from support.audited import picture
from support.stages import run_stage


def test_equal_images_are_found_across_splits_only(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 8, 8, 3), np.uint8)
    images[3], images[5], images[1] = images[2], images[2], images[0]
    assignments = []
    for split, rows in {"train": [0, 1, 2], "valid": [3, 4], "test": [5]}.items():
        (tmp_path / split).mkdir()
        np.save(tmp_path / split / "images.npy", images[rows])
        np.save(tmp_path / split / "trimaps.npy", np.ones((len(rows), 8, 8), np.uint8))
        assignments += [Assignment(Entry(f"pug_{row}", "pug", "dog"), split) for row in rows]
    assert copies.crossing(tmp_path, assignments) == [("pug_2", "pug_3", "pug_5")]


def make_data_set(raw):
    """Photographs 0 to 13 in trainval (0 and 10 in valid), 14 to 16 in test; 4 is a copy of 16, 3 of 0, mirrored."""
    (raw / "images").mkdir(parents=True)
    (raw / "annotations" / "trimaps").mkdir(parents=True)
    for number in range(17):
        image, trimap = picture({4: 16, 3: 0}.get(number, number))
        if number == 3:
            image, trimap = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), trimap[:, ::-1]
        image.save(raw / "images" / f"Pug_{number}.jpg", quality=90)
        Image.fromarray(trimap).save(raw / "annotations" / "trimaps" / f"Pug_{number}.png")
    for name, numbers in {"trainval": range(14), "test": range(14, 17), "list": range(17)}.items():
        text = "".join(f"Pug_{number} 1 1 1\n" for number in numbers)
        (raw / "annotations" / f"{name}.txt").write_text(text)


def test_the_stage_names_a_leak_and_avoids_it_if_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("PETSEG_CACHE", str(tmp_path / "cache"))
    make_data_set(tmp_path / "data" / "raw")
    done = run_stage(tmp_path, "split.py")
    assert done.returncode == 0, done.stderr
    assert "split: 1 photograph is in more than one split (Pug_4, Pug_16)" in done.stdout
    table = pd.read_csv(tmp_path / "data" / "splits.csv", index_col="name")
    assert len(table) == 17
    assert list(table.query("split == 'valid'").index) == ["Pug_0", "Pug_10"]

    done = run_stage(tmp_path, "split.py", split={"group": "duplicates", "exclude": ["Pug_7"]})
    assert done.returncode == 0, done.stderr
    assert "2 left out" in done.stdout
    assert "more than one split" not in done.stdout
    kept = pd.read_csv(tmp_path / "data" / "splits.csv", index_col="name")
    assert set(table.index) - set(kept.index) == {"Pug_4", "Pug_7"}
    assert list(kept.query("split == 'valid'").index) == ["Pug_10"]
    assert list(kept.query("split == 'test'").index) == list(table.query("split == 'test'").index)


def test_the_stage_limits_the_train_images(tmp_path):
    make_data_set(tmp_path / "data" / "raw")
    done = run_stage(tmp_path, "split.py", split={"limit": 5, "exclude": ["Pug_7"]})
    assert done.returncode == 0, done.stderr
    assert "split: 5 train, 2 valid, 3 test" in done.stdout
    assert "split: 1 left out, by split.exclude" in done.stdout
    assert "split: 6 train images left out by split.limit" in done.stdout
    assert len(np.load(tmp_path / "data" / "packed" / "train" / "images.npy")) == 5
