"""Masks of any format as values."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from petseg.importing import reading
from petseg.importing.reading import Seen

MASK = np.zeros((16, 24), bool)
MASK[:8, :8] = True


def seen(path: Path, wanted: str = "numbers") -> Seen:
    found, read = reading.look(path, 0, wanted), reading.read(path, 0, wanted)
    values, counts = np.unique(read.values, return_counts=True)
    assert found.counts == dict(zip(values.tolist(), counts.tolist(), strict=True))
    return found


@pytest.mark.parametrize(
    ("image", "values"),
    [
        (Image.fromarray(MASK), {0, 255}),
        (Image.fromarray(np.uint8(MASK * 7)), {0, 7}),
        (Image.fromarray(np.uint16(MASK * 40_000)), {0, 40_000}),
        (Image.fromarray(np.int32(MASK * 70_000)), {0, 70_000}),
        (Image.fromarray(np.float32(MASK * 0.5)), {0, 128}),
        (Image.fromarray(np.float32(MASK * 2)), {0, 2}),
        (Image.fromarray(np.dstack([np.uint8(MASK * 9)] * 3)), {0, 9}),
        (Image.fromarray(np.dstack([np.uint8(MASK * 9)] * 3 + [np.full((16, 24), 255, np.uint8)])), {0, 9}),
    ],
    ids=["bit", "gray", "16 bits", "32 bits", "fractions", "floats", "gray as color", "opaque"],
)
def test_numbers(tmp_path: Path, image: Image.Image, values: set) -> None:
    path = tmp_path / "a.tif"
    image.save(path)
    found = seen(path)
    assert found.kind == "numbers"
    assert set(found.counts) == values
    assert found.counts[max(values)] == MASK.sum()


def test_palettes_count_by_index_unless_they_are_black_and_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.uint8(MASK * 1))
    for name, palette in (("colors", [0, 0, 0, 128, 0, 0]), ("white", [0, 0, 0, 255, 255, 255])):
        image.putpalette(palette)
        image.save(tmp_path / f"{name}.png")
    assert seen(tmp_path / "colors.png") == Seen("palette", {0: 320, 1: 64}, {0: 0, 1: 0x800000})
    assert seen(tmp_path / "colors.png", "color") == Seen("color", {0: 320, 0x800000: 64})
    assert seen(tmp_path / "white.png") == Seen("numbers", {0: 320, 255: 64})


def test_transparency_is_the_mask_unless_colors_are_wanted(tmp_path: Path) -> None:
    pixels = np.full((16, 24, 4), (0, 128, 0, 0), np.uint8)
    pixels[MASK] = (128, 0, 0, 255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert seen(tmp_path / "a.png") == Seen("alpha", {0: 320, 255: 64})
    assert seen(tmp_path / "a.png", "color") == Seen("color", {0: 320, 0x800000: 64})
    Image.fromarray(pixels[..., :3]).save(tmp_path / "b.png")
    assert seen(tmp_path / "b.png", "alpha") == Seen("alpha", {255: 384})
    assert seen(tmp_path / "b.png").kind == "color"


def test_a_gray_jpeg_of_three_channels_has_numbers(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([np.uint8(MASK * 255)] * 3)).save(tmp_path / "a.jpg")
    found = seen(tmp_path / "a.jpg")
    assert (found.kind, found.lossy) == ("numbers", True)


def test_of_a_photograph_only_the_most_common_values_are_kept(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    pixels[:8] = 3
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = reading.look(tmp_path / "a.png")
    assert len(found.counts) == reading.MOST
    assert max(found.counts, key=lambda value: found.counts[value]) == 0x030303
