"""Decoding of photographs and trimaps in many formats, and the resize conventions."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional

from petseg.data import images
from petseg.runtime.errors import DataError

ORIENTATION = 0x0112


def gradient(height: int = 12, width: int = 20) -> np.ndarray:
    """An image, uint8 (height, width, 3), that differs in every direction and channel."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y * 20, x * 12, 255 - (x + y) * 7], axis=-1).astype(np.uint8)


def make_trimap(height: int = 12, width: int = 20) -> np.ndarray:
    trimap = np.full((height, width), 2, np.uint8)
    trimap[2:8, 3:14] = 3
    trimap[3:7, 4:13] = 1
    return trimap


def save(path: Path, image: Image.Image, kind: str, **options) -> Path:
    """Saves an image in the format `kind`, whatever the suffix."""
    content = io.BytesIO()
    image.save(content, kind, **options)
    path.write_bytes(content.getvalue())
    return path


def error(read, *paths: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(*paths)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_with_the_suffix_jpg(tmp_path, kind):
    image = images.read_image(save(tmp_path / "a.jpg", Image.fromarray(gradient()), kind))
    assert image.dtype == np.uint8
    assert image.shape == (12, 20, 3)
    np.testing.assert_array_equal(image, gradient())


def test_jpeg_is_decoded_by_pillow(tmp_path):
    path = save(tmp_path / "a.jpg", Image.fromarray(gradient()), "JPEG", quality=90)
    np.testing.assert_array_equal(images.read_image(path), np.asarray(Image.open(path)))
    assert np.abs(images.read_image(path).astype(int) - gradient()).mean() < 12


def test_first_frame_of_a_gif(tmp_path):
    first, second = (np.kron([[0, 255], [255, value]], np.ones((4, 4))).astype(np.uint8) for value in (0, 255))
    frames = [Image.fromarray(frame) for frame in (first, second)]
    path = save(tmp_path / "a.jpg", frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(images.read_image(path), np.stack([first] * 3, axis=-1))


def test_cmyk_jpeg(tmp_path):
    red = Image.new("CMYK", (16, 8), (0, 255, 255, 0))
    image = images.read_image(save(tmp_path / "a.jpg", red, "JPEG"))
    assert image.shape == (8, 16, 3)
    assert np.abs(image.astype(int) - (255, 0, 0)).max() <= 3


def test_gray_and_bilevel(tmp_path):
    gray = gradient()[..., 1]
    image = images.read_image(save(tmp_path / "a.jpg", Image.fromarray(gray), "PNG"))
    np.testing.assert_array_equal(image, np.stack([gray] * 3, axis=-1))
    image = images.read_image(save(tmp_path / "b.jpg", Image.fromarray(gray > 99), "PNG"))
    np.testing.assert_array_equal(image[..., 2], np.where(gray > 99, 255, 0))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_blended_with_white(tmp_path, mode):
    gray = np.full((3, 4), 100, np.uint8)
    alpha = np.full((3, 4), 255, np.uint8)
    alpha[1], alpha[2] = 51, 0
    bands = [Image.fromarray(band) for band in [gray] * (len(mode) - 1) + [alpha]]
    image = images.read_image(save(tmp_path / "a.jpg", Image.merge(mode, bands), "PNG"))
    assert image[0].tolist() == [[100] * 3] * 4
    assert image[1].tolist() == [[224] * 3] * 4  # 255 + (100 - 255) * 51 / 255
    assert image[2].tolist() == [[255] * 3] * 4


def test_palette_with_and_without_a_transparent_color(tmp_path):
    indexed = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    indexed.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image = images.read_image(save(tmp_path / "a.jpg", indexed, "PNG"))
    assert image.tolist() == [[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [40, 50, 60]]]
    image = images.read_image(save(tmp_path / "b.jpg", indexed, "PNG", transparency=1))
    assert image.tolist() == [[[10, 20, 30], [255] * 3], [[70, 80, 90], [255] * 3]]
    image = images.read_image(save(tmp_path / "c.jpg", indexed, "PNG", transparency=b"\xff\x00\xff"))
    assert image.tolist() == [[[10, 20, 30], [255] * 3], [[70, 80, 90], [255] * 3]]


GRAY_16 = np.array([[0, 255, 256, 0x1234], [0x8000, 0xFEFF, 0xFF00, 0xFFFF]], np.uint16)
HIGH_BYTES = [[0, 0, 1, 0x12], [0x80, 0xFE, 0xFF, 0xFF]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PGM"])
def test_16_bit_gray_is_scaled_and_not_clipped(tmp_path, kind):
    path = tmp_path / "a.jpg"
    if kind == "PGM":
        path.write_bytes(b"P5\n4 2\n65535\n" + GRAY_16.astype(">u2").tobytes())
    else:
        save(path, Image.fromarray(GRAY_16), kind)
    image = images.read_image(path)
    assert [image[..., channel].tolist() for channel in range(3)] == [HIGH_BYTES] * 3


def test_16_bit_color(tmp_path):
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    color = np.stack([GRAY_16, GRAY_16[:, ::-1], GRAY_16[::-1]], axis=-1).astype(">u2")
    lines = b"".join(b"\0" + line.tobytes() for line in color)  # 0: no filter
    header = struct.pack(">IIBBBBB", 4, 2, 16, 2, 0, 0, 0)  # width, height, bits, RGB
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    (tmp_path / "a.jpg").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    np.testing.assert_array_equal(images.read_image(tmp_path / "a.jpg"), (color >> 8).astype(np.uint8))


@pytest.mark.parametrize("values", [np.float32([[0.5, 3]]), np.int32([[5, 70000]]), np.int32([[5, 200]])])
def test_32_bit_channels_are_refused(tmp_path, values):
    path = save(tmp_path / "a.jpg", Image.fromarray(values), "TIFF")
    assert f"{path} has 32 bits per channel" in error(images.read_image, path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP"])
def test_truncated_images_are_refused(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    path = save(tmp_path / "pug_1.jpg", Image.fromarray(noise), kind)
    images.read_image(path)
    content = path.read_bytes()
    for length in (0, 5, len(content) // 2, len(content) * 9 // 10):
        path.write_bytes(content[:length])
        text = error(images.read_image, path)
        assert str(path) in text
        assert "replace it, or remove pug_1 from the data set" in text


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\xff\xd8\xff\xe0garbage", b"\x89PNG\r\n\x1a\n" * 9])
def test_undecodable_files_are_refused(tmp_path, content):
    for name, read in (("a.jpg", images.read_image), ("a.png", images.read_trimap)):
        (tmp_path / name).write_bytes(content)
        assert f"{tmp_path / name} cannot be decoded" in error(read, tmp_path / name)


def test_missing_and_unreadable_files(tmp_path):
    assert "does not exist" in error(images.read_image, tmp_path / "a.jpg")
    (tmp_path / "b.jpg").mkdir()
    assert "cannot be read" in error(images.read_image, tmp_path / "b.jpg")


@pytest.mark.parametrize("exif", [b"II*\0\xff\0\0\0", b"MX\0*\0\0\0\x08\0\x01", b"MM\0*"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_damaged_metadata_is_ignored(tmp_path, kind, exif):
    path = save(tmp_path / "a.jpg", Image.fromarray(gradient()), kind, exif=b"Exif\0\0" + exif)
    assert exif in path.read_bytes()
    trimap = save(tmp_path / "a.png", Image.fromarray(make_trimap()), "PNG")
    assert images.read_pair(path, trimap)[0].shape == (12, 20, 3)
    save(trimap, Image.fromarray(make_trimap(20, 12)), "PNG")
    assert "is 20 x 12 pixels" in error(images.read_pair, path, trimap)


def test_trimaps_of_8_and_16_bits_and_with_a_palette(tmp_path):
    indexed = Image.fromarray(make_trimap())
    indexed.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    assert indexed.mode == "P"
    for image in (Image.fromarray(make_trimap()), indexed, Image.fromarray(make_trimap().astype(np.uint16))):
        trimap = images.read_trimap(save(tmp_path / "a.png", image, "PNG"))
        assert trimap.dtype == np.uint8
        np.testing.assert_array_equal(trimap, make_trimap())


@pytest.mark.parametrize(
    ("values", "listed"),
    [
        ([[0, 1, 2]], "0, 1, 2;"),
        ([[3, 4, 4]], "3, 4;"),
        ([[0, 255, 0]], "0, 255;"),
        ([range(1, 13)], "1, 2, 3, 4, 5, 6, 7, 8, ...;"),
    ],
)
def test_trimap_values_outside_1_to_3(tmp_path, values, listed):
    path = save(tmp_path / "a.png", Image.fromarray(np.array(values, np.uint8)), "PNG")
    assert f"{path} holds the values {listed}" in error(images.read_trimap, path)


def test_trimaps_in_color_are_refused(tmp_path):
    path = save(tmp_path / "a.png", Image.fromarray(np.stack([make_trimap()] * 3, axis=-1)), "PNG")
    assert f"{path} has color or fractions" in error(images.read_trimap, path)


def photograph(path: Path, orientation: int | None) -> Path:
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    return save(path, Image.fromarray(gradient()), "PNG", exif=exif)


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
    np.testing.assert_array_equal(images.read_image(path), gradient())
    for size, expected in (((12, 20), gradient()), ((20, 12), TURNED[orientation](gradient()))):
        image, trimap = images.read_pair(path, save(tmp_path / "a.png", Image.fromarray(make_trimap(*size)), "PNG"))
        np.testing.assert_array_equal(image, expected)
        np.testing.assert_array_equal(trimap, make_trimap(*size))


def test_the_orientation_of_a_jpeg(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 8
    path = save(tmp_path / "a.jpg", Image.fromarray(gradient()), "JPEG", exif=exif)
    trimap = save(tmp_path / "a.png", Image.fromarray(make_trimap(20, 12)), "PNG")
    np.testing.assert_array_equal(images.read_pair(path, trimap)[0], np.rot90(images.read_image(path)))


@pytest.mark.parametrize("orientation", [None, 1, 3])
def test_different_sizes_are_refused(tmp_path, orientation):
    path = photograph(tmp_path / "a.jpg", orientation)
    trimap = save(tmp_path / "a.png", Image.fromarray(make_trimap(20, 12)), "PNG")
    assert f"{path} is 20 x 12 pixels but {trimap} is 12 x 20" in error(images.read_pair, path, trimap)


@pytest.mark.parametrize("size", [16, 64, 100])
def test_images_are_resized_as_by_pillow_and_torchvision(size):
    noise = np.random.default_rng(0).integers(0, 256, (75, 50, 3), dtype=np.uint8)
    resized = images.resize_image(noise, size)
    assert resized.shape == (size, size, 3)
    expected = functional.resize(Image.fromarray(noise), [size, size], antialias=True)
    np.testing.assert_array_equal(resized, np.asarray(expected))
    tensor = torch.from_numpy(noise).permute(2, 0, 1)[None].double()
    antialiased = torch.nn.functional.interpolate(tensor, size=(size, size), mode="bilinear", antialias=True)
    assert np.abs(resized - antialiased[0].permute(1, 2, 0).numpy()).max() <= 1.01


@pytest.mark.parametrize("size", [16, 64, 100])
def test_trimaps_are_resized_by_the_nearest_pixel_center(size):
    trimap = np.random.default_rng(0).integers(1, 4, (75, 50), dtype=np.uint8)
    rows, columns = (((np.arange(size) + 0.5) * length / size).astype(int) for length in trimap.shape)
    resized = images.resize_trimap(trimap, size)
    assert resized.dtype == np.uint8
    np.testing.assert_array_equal(resized, trimap[np.ix_(rows, columns)])
