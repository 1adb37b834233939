"""Findings about masks."""

import numpy as np
import pytest
from PIL import Image

from petseg.audit import command
from petseg.audit.findings import ERROR
from support.audited import kinds, picture, some_pictures, write_official, write_own


@pytest.fixture(autouse=True)
def cache_here(tmp_path, monkeypatch):
    monkeypatch.setenv("PETSEG_CACHE", str(tmp_path / "cache"))


def audited(tmp_path, changes, number=24):
    """The audit of some pictures in the official layout, where `changes` are trimaps by name."""
    pictures = some_pictures(number)
    pictures |= {name: (pictures[name][0], trimap) for name, trimap in changes.items()}
    return command.audit(write_official(tmp_path / "raw", pictures, test={"blob_0"}), workers=1)


def trimap(i):
    return picture(i)[1]


def shifted(trimap, right, down):
    moved = np.full_like(trimap, 2)
    moved[down:, right:] = trimap[: len(trimap) - down, : trimap.shape[1] - right]
    return moved


def swapped(trimap):
    return np.array([0, 2, 1, 3], np.uint8)[trimap]


def with_specks(trimap):
    trimap = trimap.copy()
    trimap[2:30:5, 2:4] = 1
    return trimap


def with_holes(trimap):
    trimap = trimap.copy()
    trimap[90:92, 100:140:4] = 2
    return trimap


def without_border(trimap):
    return np.where(trimap == 2, 2, 1).astype(np.uint8)


def wide_border(trimap):
    wide = trimap.copy()
    wide[trimap == 1] = 3
    return wide


ONE = {
    "empty-masks": lambda: np.full_like(trimap(3), 2),
    "full-masks": lambda: np.full_like(trimap(3), 1),
    "inverted-mask": lambda: swapped(trimap(3)),
    "specks": lambda: with_specks(trimap(3)),
    "holes": lambda: with_holes(trimap(3)),
    "no-border": lambda: without_border(trimap(3)),
    "odd-border": lambda: wide_border(trimap(3)),
    "mirrored-mask": lambda: np.ascontiguousarray(trimap(3)[:, ::-1]),
    "shifted-mask": lambda: shifted(trimap(3), 30, 20),
    "unusable-mask": lambda: np.full_like(trimap(3), 7),
    "size-mismatch": lambda: picture(3, (120, 90))[1],
}


@pytest.mark.parametrize("kind", ONE)
def test_one_bad_mask_is_named(tmp_path, kind):
    found = kinds(audited(tmp_path, {"blob_3": ONE[kind]()}))
    assert found.pop(kind) == ["blob_3"]
    assert set(found) <= {"wrong-suffix", "few-test-images", "missing-breeds"}


ALL = {
    "all-full-masks": lambda trimap: np.full_like(trimap, 1),
    "inverted-masks": swapped,
    "mirrored-masks": lambda trimap: np.ascontiguousarray(trimap[:, ::-1]),
    "shifted-masks": lambda trimap: shifted(trimap, 12, 0),
}


@pytest.mark.parametrize("kind", ALL)
def test_masks_that_are_all_wrong_are_one_error(tmp_path, kind):
    result = audited(tmp_path, {f"blob_{i}": ALL[kind](trimap(i)) for i in range(24)})
    errors = [finding.kind for finding in result.findings if finding.severity == ERROR]
    assert errors == [kind]


def test_a_shift_is_told_as_it_is(tmp_path):
    result = audited(tmp_path, {f"blob_{i}": shifted(trimap(i), 12, 9) for i in range(24)})
    finding = next(finding for finding in result.findings if finding.kind == "shifted-masks")
    assert finding.numbers["right"] == pytest.approx(-12 / 240, abs=0.01)
    assert finding.numbers["down"] == pytest.approx(-9 / 180, abs=0.01)
    assert "5 % of the width to the left and 5 % of the height up" in finding.sentence


def test_equal_masks_of_different_images(tmp_path):
    some = audited(tmp_path / "some", {"blob_4": trimap(3), "blob_5": trimap(3)})
    assert kinds(some)["equal-masks"] == ["blob_3", "blob_4", "blob_5"]
    assert not some.failed
    most = audited(tmp_path / "most", {f"blob_{i}": trimap(3) for i in range(20)})
    assert most.failed


def test_own_masks_of_different_encodings(tmp_path):
    folder = write_own(tmp_path / "own", some_pictures(6))
    path = folder / "masks/blob_3.png"
    Image.fromarray(np.asarray(Image.open(path)) // 255).save(path)
    result = command.audit(folder, workers=1)
    assert kinds(result)["mixed-masks"] == ["blob_3"]
    assert result.failed
