"""Decoding of photographs and trimaps in many formats, and the resize conventions."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms.v2 import functional

from petseg.data import images
from petseg.runtime.errors import DataError

Y, X = np.mgrid[:12, :20]
GRADIENT = np.stack([Y * 20, X * 12, 255 - (X + Y) * 7], axis=-1).astype(np.uint8)  # differs in each direction, channel
GRAY = GRADIENT[..., 1]
GRAY_16 = np.array([[0, 255, 256, 0x1234], [0x8000, 0xFEFF, 0xFF00, 0xFFFF]], np.uint16)


def make_trimap(height: int = 12, width: int = 20) -> np.ndarray:
    trimap = np.full((height, width), 2, np.uint8)
    trimap[2:8, 3:14] = 3
    trimap[3:7, 4:13] = 1
    return trimap


def save(path: Path, image: np.ndarray | Image.Image, kind: str = "PNG", **options) -> Path:
    """Saves an image in the format `kind`, whatever the suffix."""
    content = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(content, kind, **options)
    path.write_bytes(content.getvalue())
    return path


def read_image(path: Path) -> np.ndarray:
    """The pixels of a photograph, which `read_pair` reads with a trimap of its size."""
    try:
        with Image.open(path) as image:
            size = image.size
    except OSError:
        size = (4, 3)  # of no importance: reading fails
    return images.read_pair(path, save(path.with_name("trimap.png"), make_trimap(*size[::-1])))[0]


def error(read, *paths: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(*paths)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def gray(values: np.ndarray) -> np.ndarray:
    return np.stack([values] * 3, axis=-1)


def frame(value: int) -> np.ndarray:
    return np.kron([[0, 255], [255, value]], np.ones((4, 4))).astype(np.uint8)


@pytest.mark.parametrize(
    ("image", "kind", "options", "expected"),
    [
        *((GRADIENT, kind, {}, GRADIENT) for kind in ("PNG", "BMP", "TIFF", "PPM")),
        (frame(0), "GIF", {"save_all": True, "append_images": [Image.fromarray(frame(255))]}, gray(frame(0))),
        (GRAY, "PNG", {}, gray(GRAY)),
        (GRAY > 99, "PNG", {}, gray(np.where(GRAY > 99, 255, 0))),
        *((GRAY_16, kind, {}, gray(GRAY_16 >> 8)) for kind in ("PNG", "TIFF", "PPM")),
    ],
)
def test_formats_with_the_suffix_jpg(tmp_path, image, kind, options, expected):
    read = read_image(save(tmp_path / "a.jpg", image, kind, **options))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, expected)


def test_jpeg_in_rgb_and_cmyk(tmp_path):
    assert np.abs(read_image(save(tmp_path / "a.jpg", GRADIENT, "JPEG", quality=95)) - 1.0 * GRADIENT).mean() < 9
    image = read_image(save(tmp_path / "a.jpg", Image.new("CMYK", (16, 8), (0, 255, 255, 0)), "JPEG"))
    assert image.shape == (8, 16, 3)
    assert np.abs(image.astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_blended_with_white(tmp_path, mode):
    alpha = np.repeat(np.uint8([[255], [51], [0]]), 4, axis=1)
    bands = [np.full((3, 4), 100, np.uint8)] * (len(mode) - 1) + [alpha]
    image = read_image(save(tmp_path / "a.jpg", Image.merge(mode, [Image.fromarray(band) for band in bands])))
    assert image[:, 0].tolist() == [[100] * 3, [224] * 3, [255] * 3]  # 255 + (100 - 255) * 51 / 255 = 224


def test_palette_with_and_without_a_transparent_color(tmp_path):
    indexed = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    indexed.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image = read_image(save(tmp_path / "a.jpg", indexed))
    assert image.tolist() == [[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [40, 50, 60]]]
    for transparency in (1, b"\xff\x00\xff"):
        image = read_image(save(tmp_path / "a.jpg", indexed, transparency=transparency))
        assert image.tolist() == [[[10, 20, 30], [255] * 3], [[70, 80, 90], [255] * 3]]


@pytest.mark.parametrize("values", [np.float32([[0.5, 3]]), np.int32([[5, 70000]]), np.int32([[5, 200]])])
def test_32_bit_channels_are_refused(tmp_path, values):
    path = save(tmp_path / "a.jpg", values, "TIFF")
    assert f"{path} has 32 bits per channel" in error(read_image, path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP"])
def test_truncated_images_are_refused(tmp_path, kind):
    path = save(tmp_path / "pug_1.jpg", np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8), kind)
    read_image(path)
    content = path.read_bytes()
    for length in (0, 5, len(content) // 2, len(content) * 9 // 10):
        path.write_bytes(content[:length])
        text = error(read_image, path)
        assert text.startswith(f"{path} cannot be decoded (")
        assert text.endswith("); replace it, or remove pug_1 from the data set.")


@pytest.mark.parametrize("content", [b"<html>404</html>", b"\xff\xd8\xff\xe0garbage", b"\x89PNG\r\n\x1a\n" * 9])
@pytest.mark.parametrize("read", [read_image, images.read_trimap])
def test_undecodable_files_are_refused(tmp_path, read, content):
    (tmp_path / "a.jpg").write_bytes(content)
    assert f"{tmp_path / 'a.jpg'} cannot be decoded" in error(read, tmp_path / "a.jpg")


def test_missing_and_unreadable_files(tmp_path):
    assert "does not exist" in error(read_image, tmp_path / "a.jpg")
    (tmp_path / "b.jpg").mkdir()
    assert "cannot be read" in error(read_image, tmp_path / "b.jpg")


@pytest.mark.parametrize("exif", [b"II*\0\xff\0\0\0", b"MX\0*\0\0\0\x08\0\x01", b"MM\0*"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_damaged_metadata_is_ignored(tmp_path, kind, exif):
    path = save(tmp_path / "a.jpg", GRADIENT, kind, exif=b"Exif\0\0" + exif)
    assert exif in path.read_bytes()
    assert images.read_pair(path, save(tmp_path / "a.png", make_trimap()))[0].shape == (12, 20, 3)
    assert "is 20 x 12 pixels" in error(images.read_pair, path, save(tmp_path / "a.png", make_trimap(20, 12)))


def test_trimaps_of_8_and_16_bits_and_with_a_palette(tmp_path):
    indexed = Image.fromarray(make_trimap())
    indexed.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    for image in (make_trimap(), indexed, make_trimap().astype(np.uint16)):
        trimap = images.read_trimap(save(tmp_path / "a.png", image))
        assert trimap.dtype == np.uint8
        np.testing.assert_array_equal(trimap, make_trimap())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.uint8([[0, 1, 2]]), "holds the values 0, 1, 2;"),
        (np.uint8([[3, 4, 4]]), "holds the values 3, 4;"),
        (np.uint8([range(1, 13)]), "holds the values 1, 2, 3, 4, 5, 6, 7, 8, ...;"),
        (np.uint16([[1, 258]]), "holds the values 1, 258;"),
        (np.float32([[1, 1.5]]), "has color or fractions;"),
        (gray(make_trimap()), "has color or fractions;"),
    ],
)
def test_invalid_trimaps_are_refused(tmp_path, values, words):
    path = save(tmp_path / "a.png", values, "TIFF")
    assert error(images.read_trimap, path).startswith(f"{path} {words}")


def photograph(path: Path, orientation: int | None) -> Path:
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    return save(path, GRADIENT, exif=exif)


# The orientations of the EXIF standard, for an array (H, W, 3).
TURNED = {
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),  # a quarter turn clockwise
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", TURNED)
def test_the_orientation_is_applied_only_if_the_trimap_needs_it(tmp_path, orientation):
    path = photograph(tmp_path / "a.jpg", orientation)
    np.testing.assert_array_equal(read_image(path), GRADIENT)
    for size, expected in (((12, 20), GRADIENT), ((20, 12), TURNED[orientation](GRADIENT))):
        image, trimap = images.read_pair(path, save(tmp_path / "a.png", make_trimap(*size)))
        np.testing.assert_array_equal(image, expected)
        np.testing.assert_array_equal(trimap, make_trimap(*size))


@pytest.mark.parametrize("orientation", [None, 1, 3])
def test_different_sizes_are_refused(tmp_path, orientation):
    path, trimap = photograph(tmp_path / "a.jpg", orientation), save(tmp_path / "a.png", make_trimap(20, 12))
    assert f"{path} is 20 x 12 pixels but {trimap} is 12 x 20" in error(images.read_pair, path, trimap)


@pytest.mark.parametrize("size", [16, 64, 100])
def test_images_are_resized_as_by_torchvision(size):
    noise = np.random.default_rng(0).integers(0, 256, (75, 50, 3), dtype=np.uint8)
    resized = images.resize_image(noise, size)
    assert resized.shape == (size, size, 3)
    expected = functional.resize(Image.fromarray(noise), [size, size], antialias=True)
    np.testing.assert_array_equal(resized, np.asarray(expected))


@pytest.mark.parametrize("size", [16, 64, 100])
def test_trimaps_are_resized_by_the_nearest_pixel_center(size):
    trimap = np.random.default_rng(0).integers(1, 4, (75, 50), dtype=np.uint8)
    rows, columns = (((np.arange(size) + 0.5) * length / size).astype(int) for length in trimap.shape)
    resized = images.resize_trimap(trimap, size)
    assert resized.dtype == np.uint8
    np.testing.assert_array_equal(resized, trimap[np.ix_(rows, columns)])
