"""Pages, and 10 to 16 bits per channel."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from petseg.importing import decoding
from petseg.importing.decoding import Look, Range
from petseg.runtime.errors import DataError


def noise(seed: int, *shape: int, high: int = 256, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, high, shape, dtype)


def save_pages(path: Path, *pages: np.ndarray, **options: object) -> Path:
    first, *rest = map(Image.fromarray, pages)
    first.save(path, save_all=True, append_images=rest, **options)
    return path


@pytest.mark.parametrize("suffix", [".tif", ".png", ".webp", ".gif"])
def test_every_page_is_read(tmp_path: Path, suffix: str) -> None:
    pages = [np.repeat(noise(i, 8, 10, 1, high=2) * 255, 3, axis=2) for i in range(3)]
    path = save_pages(tmp_path / f"a{suffix}", *pages, **({"lossless": True} if suffix == ".webp" else {}))
    look = decoding.look(path)
    assert (look.pages, look.size, look.wide) == (3, (10, 8), False)
    assert not decoding.as_is(path, look)
    for i, page in enumerate(pages):
        np.testing.assert_array_equal(np.asarray(decoding.convert(path, i, look, None)), page)


def test_a_damaged_page_is_named(tmp_path: Path) -> None:
    path = save_pages(tmp_path / "a.tif", *[noise(i, 40, 40) for i in range(3)])
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(DataError, match=r"^Page 3 of .*a\.tif cannot be decoded"):
        decoding.read(path, 2)


def test_gray_and_color_of_twelve_bits_are_stretched(tmp_path: Path) -> None:
    gray, color = (noise(0, 8, 10, *channels, high=4096, dtype=np.uint16) for channels in ((), (3,)))
    Image.fromarray(gray).save(tmp_path / "gray.png")
    cv2.imwrite(str(tmp_path / "color.png"), color[..., ::-1])
    cv2.imwritemulti(str(tmp_path / "color.tif"), [color[::-1, :, ::-1], color[..., ::-1]])
    for name, page, values in (("gray.png", 0, gray), ("color.png", 0, color), ("color.tif", 1, color)):
        look = decoding.look(tmp_path / name)
        assert look.wide
        found = decoding.value_range(tmp_path / name, page)
        assert found == (values.min(), values.max())
        image = decoding.convert(tmp_path / name, page, look, Range(0, 4095))
        assert image.mode == ("L" if values.ndim == 2 else "RGB")
        np.testing.assert_array_equal(np.asarray(image), np.rint(values / 4095 * 255))


def test_ranges() -> None:
    assert Range(100, 355).stretch(np.array([0, 100, 200, 355, 999])).tolist() == [0, 0, 100, 255, 255]
    assert Range(7, 7).stretch(np.array([7, 8])).tolist() == [0, 255]


def test_ordinary_images_stay_as_they_are(tmp_path: Path) -> None:
    Image.fromarray(noise(0, 8, 10, 3)).save(tmp_path / "a.jpg")
    Image.fromarray(noise(0, 8, 10, 3)).save(tmp_path / "b.ppm")
    assert decoding.as_is(tmp_path / "a.jpg", decoding.look(tmp_path / "a.jpg"))
    assert not decoding.as_is(tmp_path / "b.ppm", decoding.look(tmp_path / "b.ppm"))


def test_the_size_of_a_rotated_photograph_is_known_both_ways(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(0, 8, 10, 3)).save(tmp_path / "a.jpg", exif=exif)
    assert decoding.look(tmp_path / "a.jpg") == Look(1, (10, 8), (8, 10), False, False)


def test_colors_below_transparent_pixels_are_kept_on_demand(tmp_path: Path) -> None:
    pixels = noise(0, 8, 10, 4)
    pixels[..., 3] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    look = decoding.look(tmp_path / "a.png")
    assert look.has_alpha
    kept = np.asarray(decoding.convert(tmp_path / "a.png", 0, look, None, drop_alpha=True))
    np.testing.assert_array_equal(kept, pixels[..., :3])
    assert (np.asarray(decoding.convert(tmp_path / "a.png", 0, look, None)) == 255).all()


def test_heic_becomes_rgb(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="HEIC needs the package pillow-heif")
    heif.from_pillow(Image.new("RGB", (16, 12), "red")).save(tmp_path / "a.heic")
    look = decoding.look(tmp_path / "a.heic")
    assert look == Look(1, (16, 12), (16, 12), False, False)
    red, green, _ = np.asarray(decoding.convert(tmp_path / "a.heic", 0, look, None))[6, 8]
    assert red > 200 > 60 > green
