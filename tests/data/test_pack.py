"""Packing: the arrays, the number of workers, memory, and invalid input."""

import errno
import os
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from petseg.data import images, layout, pack, packed, splits
from petseg.data.sources import archive
from petseg.runtime.errors import DataError, PetsegError
from petseg.runtime.files import atomic_folder
from support.paths import real_data
from support.stages import run_stage


def write_raw(raw: Path, trainval: int = 23, test: int = 5) -> list[splits.Assignment]:
    """Writes images of different sizes in the official layout; returns their assignments by the rule `report`."""
    rng = np.random.default_rng(0)
    (raw / "images").mkdir(parents=True)
    (raw / "annotations" / "trimaps").mkdir(parents=True)
    for i in range(trainval + test):
        height, width = 20 + i, 45 - i
        photo = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        trimap = rng.integers(1, 4, (height, width), dtype=np.uint8)
        Image.fromarray(photo).save(layout.image_path(raw, f"pug_{i}"), "PNG")
        Image.fromarray(trimap).save(layout.trimap_path(raw, f"pug_{i}"))
    for name, numbers in (("trainval", range(trainval)), ("test", range(trainval, trainval + test))):
        (raw / "annotations" / f"{name}.txt").write_text("".join(f"pug_{i} 1 2 1\n" for i in numbers))
    return splits.split(*layout.check(raw), "report", seed=0)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw"


@pytest.fixture
def assignments(raw: Path) -> list[splits.Assignment]:
    return write_raw(raw)


def pack_into(folder: Path, *arguments, workers: int = 1) -> list[tuple[int, int]]:
    folder.mkdir()
    return pack.pack(*arguments, folder, workers)


def contents(folder: Path) -> dict[str, bytes]:
    found = sorted([*folder.rglob("*.npy"), *folder.rglob("*.bits"), *folder.rglob("*.csv")])
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.parametrize("workers", [1, 2])
def test_packed_arrays_equal_the_resized_images(tmp_path, raw, assignments, monkeypatch, workers):
    monkeypatch.setattr(pack, "CHUNK", 4)  # several chunks per split, the last one shorter
    sizes = pack_into(tmp_path / "packed", raw, assignments, 16, workers=workers)
    assert sizes == [(45 - i, 20 + i) for i in (int(entry.name.split("_")[1]) for entry, _ in assignments)]
    originals = packed.Originals(sizes[-5:], tmp_path / "packed")
    counts = {}
    for split in splits.SPLITS:
        photos, trimaps = packed.load_split(split, tmp_path / "packed")
        names = [entry.name for entry, name in assignments if name == split]
        counts[split] = len(names)
        assert len(names) == len(photos) == len(trimaps)
        for i, name in enumerate(names):
            photo, trimap = images.read_pair(layout.image_path(raw, name), layout.trimap_path(raw, name))
            np.testing.assert_array_equal(photos[i], images.resize_image(photo, 16))
            np.testing.assert_array_equal(trimaps[i], images.resize_trimap(trimap, 16))
            if split == "test":
                assert originals[i].dtype == np.uint8
                np.testing.assert_array_equal(originals[i], trimap)
    assert counts == {"train": 20, "valid": 3, "test": 5}


def test_memory_is_bounded_by_a_chunk(tmp_path, raw, assignments, monkeypatch):
    size, held = 128, 4
    monkeypatch.setattr(pack, "CHUNK", held)
    tracemalloc.start()
    pack_into(tmp_path / "packed", raw, assignments * 3, size)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * held * 4 * size * size < 3 * len(assignments) * 4 * size * size / 4


def test_loaded_arrays_are_memory_mapped_and_read_only(tmp_path, raw, assignments):
    pack_into(tmp_path / "packed", raw, assignments, 16)
    for array in packed.load_split("train", tmp_path / "packed", size=16):
        assert isinstance(array, np.memmap)
        assert array.dtype == np.uint8
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(DataError, match=r"packed at 16 pixels, but image_size is 32; run `dvc repro split`"):
        packed.load_split("train", tmp_path / "packed", size=32)


def test_missing_arrays(tmp_path):
    with pytest.raises(DataError, match=r"images\.npy does not exist; run `dvc repro split`"):
        packed.load_split("valid", tmp_path)
    with pytest.raises(DataError, match=r"originals\.bits does not exist; run `dvc repro split`"):
        packed.Originals([(3, 3)], tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_damaged_image_is_named(tmp_path, raw, assignments, monkeypatch, workers):
    monkeypatch.setattr(pack, "CHUNK", 4)
    truncated, text = (layout.image_path(raw, assignments[i].entry.name) for i in (7, 8))
    truncated.write_bytes(truncated.read_bytes()[:400])
    text.write_bytes(b"no image")
    with pytest.raises(DataError, match=f"^{truncated} cannot be decoded"):
        pack_into(tmp_path / "packed", raw, assignments, 16, workers=workers)


def die(chunk: object) -> None:
    os._exit(9)  # like a process killed by the kernel when memory runs out


def fill_disk(chunk: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(("task", "words"), [(die, "PETSEG_WORKERS lower than 2"), (fill_disk, "The disk is full")])
def test_a_killed_worker_and_a_full_disk_are_reported_and_leave_nothing(raw, assignments, monkeypatch, task, words):
    monkeypatch.setattr(pack, "_pack_chunk", task)
    with pytest.raises(PetsegError, match=words), atomic_folder(raw.parent / "packed") as part:
        pack.pack(raw, assignments, 16, part, workers=2)
    assert [path.name for path in raw.parent.iterdir()] == ["raw"]


def test_stage_writes_table_and_arrays_and_an_error_leaves_them_untouched(tmp_path):
    data = tmp_path / "data"
    assignments = write_raw(data / "raw")
    for name in ("images/._pug_1.jpg", "images/pug_1.mat", "images/pug_99.jpg", "annotations/trimaps/._pug_1.png"):
        (data / "raw" / name).write_bytes(b"junk")
    done = run_stage(tmp_path, "split.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("split: 20 train, 3 valid, 5 test, packed at 64 x 64 in ")
    table = splits.read_table(data / "splits.csv")
    assert list(zip(table["name"], table["split"], strict=True)) == [(entry.name, name) for entry, name in assignments]
    assert table.loc[table["name"] == "pug_7", ["width", "height", "species"]].values.tolist() == [[38, 27, "dog"]]
    assert packed.load_split("test", data / "packed")[0].shape == (5, 64, 64, 3)
    before = contents(data)

    Image.new("L", (9, 9), 2).save(layout.trimap_path(data / "raw", "pug_3"))
    failed = run_stage(tmp_path, "split.py")
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ")
    assert "is 42 x 23 pixels" in failed.stderr
    assert failed.stderr.count("\n") == 1  # no traceback, not even of a worker
    assert contents(data) == before
    assert sorted(path.name for path in data.iterdir()) == ["packed", "raw", "splits.csv"]


@pytest.fixture(scope="session")
def mini(tmp_path_factory) -> Path:
    """A folder with real images in data/raw."""
    mini = real_data("oxford-pets-mini")
    folder = tmp_path_factory.mktemp("mini")
    for name in ("images", "annotations"):
        archive.extract(mini / f"{name}.tar.gz", folder / "data" / "raw")
    yield folder
    shutil.rmtree(folder)


def test_stage_on_real_images(mini):
    done = run_stage(mini, "split.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("split: 270 train, 30 valid, 298 test")
    table = splits.read_table(mini / "data/splits.csv")
    assert dict(table["split"].value_counts()) == {"train": 270, "valid": 30, "test": 298}
    lines = (mini / "data/raw/annotations/trainval.txt").read_text().splitlines()
    assert table.loc[table["split"] == "valid", "name"].tolist() == [line.split()[0] for line in lines[::10]]
    photos, trimaps = packed.load_split("test", mini / "data/packed")
    assert set(np.unique(trimaps)) == {1, 2, 3}
    assert 0.1 < (trimaps != 2).mean() < 0.6  # pet and border
    first = table[table["split"] == "test"]["name"].iloc[0]
    with Image.open(layout.image_path(mini / "data/raw", first)) as image:
        np.testing.assert_array_equal(photos[0], np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR)))
