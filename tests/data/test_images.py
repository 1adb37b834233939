"""Decoding of whatever photographs and trimaps come as, and the resize conventions."""

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


def picture(height: int = 12, width: int = 20) -> np.ndarray:
    """Uint8 (height, width, 3), different in every direction and channel."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y * 20, x * 12, 255 - (x + y) * 7], axis=-1).astype(np.uint8)


def trimap_of(height: int = 12, width: int = 20) -> np.ndarray:
    trimap = np.full((height, width), 2, np.uint8)
    trimap[2:8, 3:14] = 3
    trimap[3:7, 4:13] = 1
    return trimap


def save(path: Path, image: Image.Image, kind: str, **options) -> Path:
    """Writes format `kind` under any name."""
    content = io.BytesIO()
    image.save(content, kind, **options)
    path.write_bytes(content.getvalue())
    return path


def refusal(read, *paths: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(*paths)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_formats_without_loss_under_the_name_jpg(tmp_path, kind):
    image = images.read_image(save(tmp_path / "a.jpg", Image.fromarray(picture()), kind))
    assert image.dtype == np.uint8
    assert image.shape == (12, 20, 3)
    np.testing.assert_array_equal(image, picture())


def test_jpeg_is_what_pillow_decodes(tmp_path):
    path = save(tmp_path / "a.jpg", Image.fromarray(picture()), "JPEG", quality=90)
    np.testing.assert_array_equal(images.read_image(path), np.asarray(Image.open(path)))
    assert np.abs(images.read_image(path).astype(int) - picture()).mean() < 12


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


def test_grey_and_bilevel(tmp_path):
    grey = picture()[..., 1]
    image = images.read_image(save(tmp_path / "a.jpg", Image.fromarray(grey), "PNG"))
    np.testing.assert_array_equal(image, np.stack([grey] * 3, axis=-1))
    image = images.read_image(save(tmp_path / "b.jpg", Image.fromarray(grey > 99), "PNG"))
    np.testing.assert_array_equal(image[..., 2], np.where(grey > 99, 255, 0))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_opaque_alpha_changes_nothing_and_transparency_lies_over_white(tmp_path, mode):
    grey = np.full((3, 4), 100, np.uint8)
    alpha = np.full((3, 4), 255, np.uint8)
    alpha[1], alpha[2] = 51, 0
    bands = [Image.fromarray(band) for band in [grey] * (len(mode) - 1) + [alpha]]
    image = images.read_image(save(tmp_path / "a.jpg", Image.merge(mode, bands), "PNG"))
    assert image[0].tolist() == [[100] * 3] * 4
    assert image[1].tolist() == [[224] * 3] * 4  # 255 + (100 - 255) * 51 / 255
    assert image[2].tolist() == [[255] * 3] * 4


def test_palette_with_and_without_a_transparent_colour(tmp_path):
    indexed = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    indexed.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image = images.read_image(save(tmp_path / "a.jpg", indexed, "PNG"))
    assert image.tolist() == [[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [40, 50, 60]]]
    image = images.read_image(save(tmp_path / "b.jpg", indexed, "PNG", transparency=1))
    assert image.tolist() == [[[10, 20, 30], [255] * 3], [[70, 80, 90], [255] * 3]]
    image = images.read_image(save(tmp_path / "c.jpg", indexed, "PNG", transparency=b"\xff\x00\xff"))
    assert image.tolist() == [[[10, 20, 30], [255] * 3], [[70, 80, 90], [255] * 3]]


GREY_16 = np.array([[0, 255, 256, 0x1234], [0x8000, 0xFEFF, 0xFF00, 0xFFFF]], np.uint16)
HIGH_BYTES = [[0, 0, 1, 0x12], [0x80, 0xFE, 0xFF, 0xFF]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped(tmp_path, kind):
    image = images.read_image(save(tmp_path / "a.jpg", Image.fromarray(GREY_16), kind))
    assert [image[..., channel].tolist() for channel in range(3)] == [HIGH_BYTES] * 3


def test_16_bit_pgm(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"P5\n4 2\n65535\n" + GREY_16.astype(">u2").tobytes())
    assert images.read_image(tmp_path / "a.jpg")[..., 0].tolist() == HIGH_BYTES


def test_16_bit_colour(tmp_path):
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    colour = np.stack([GREY_16, GREY_16[:, ::-1], GREY_16[::-1]], axis=-1).astype(">u2")
    lines = b"".join(b"\0" + line.tobytes() for line in colour)  # 0: no filter
    header = struct.pack(">IIBBBBB", 4, 2, 16, 2, 0, 0, 0)  # width, height, bits, RGB
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    (tmp_path / "a.jpg").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    np.testing.assert_array_equal(images.read_image(tmp_path / "a.jpg"), (colour >> 8).astype(np.uint8))


@pytest.mark.parametrize("values", [np.float32([[0.5, 3]]), np.int32([[5, 70000]]), np.int32([[5, 200]])])
def test_32_bits_are_refused_because_their_range_is_not_known(tmp_path, values):
    path = save(tmp_path / "a.jpg", Image.fromarray(values), "TIFF")
    assert f"{path} has 32 bits a channel" in refusal(images.read_image, path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP"])
def test_truncated_images_are_refused(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    path = save(tmp_path / "pug_1.jpg", Image.fromarray(noise), kind)
    images.read_image(path)
    content = path.read_bytes()
    for length in (0, 5, len(content) // 2, len(content) * 9 // 10):
        path.write_bytes(content[:length])
        text = refusal(images.read_image, path)
        assert str(path) in text
        assert "take pug_1 out" in text


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\xff\xd8\xff\xe0garbage", b"\x89PNG\r\n\x1a\n" * 9])
def test_undecodable_files_are_refused(tmp_path, content):
    for name, read in (("a.jpg", images.read_image), ("a.png", images.read_trimap)):
        (tmp_path / name).write_bytes(content)
        assert f"{tmp_path / name} cannot be decoded" in refusal(read, tmp_path / name)


def test_missing_and_unreadable_files(tmp_path):
    assert "does not exist" in refusal(images.read_image, tmp_path / "a.jpg")
    (tmp_path / "b.jpg").mkdir()
    assert "cannot be read" in refusal(images.read_image, tmp_path / "b.jpg")


@pytest.mark.parametrize("exif", [b"II*\0\xff\0\0\0", b"MX\0*\0\0\0\x08\0\x01", b"MM\0*"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_damaged_metadata_does_no_harm(tmp_path, kind, exif):
    path = save(tmp_path / "a.jpg", Image.fromarray(picture()), kind, exif=b"Exif\0\0" + exif)
    assert exif in path.read_bytes()
    trimap = save(tmp_path / "a.png", Image.fromarray(trimap_of()), "PNG")
    assert images.read_pair(path, trimap)[0].shape == (12, 20, 3)
    save(trimap, Image.fromarray(trimap_of(20, 12)), "PNG")
    assert "is 20 x 12 pixels" in refusal(images.read_pair, path, trimap)


def test_trimap(tmp_path):
    trimap = images.read_trimap(save(tmp_path / "a.png", Image.fromarray(trimap_of()), "PNG"))
    assert trimap.dtype == np.uint8
    np.testing.assert_array_equal(trimap, trimap_of())


def test_trimap_with_a_palette_or_16_bits(tmp_path):
    indexed = Image.fromarray(trimap_of()).copy()
    indexed.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    assert indexed.mode == "P"
    np.testing.assert_array_equal(images.read_trimap(save(tmp_path / "a.png", indexed, "PNG")), trimap_of())
    deep = images.read_trimap(save(tmp_path / "b.png", Image.fromarray(trimap_of().astype(np.uint16)), "PNG"))
    assert deep.dtype == np.uint8
    np.testing.assert_array_equal(deep, trimap_of())


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
    assert f"{path} holds the values {listed}" in refusal(images.read_trimap, path)


def test_trimap_in_colour(tmp_path):
    path = save(tmp_path / "a.png", Image.fromarray(np.stack([trimap_of()] * 3, axis=-1)), "PNG")
    assert f"{path} has 3 channels" in refusal(images.read_trimap, path)


def photograph(path: Path, orientation: int | None) -> Path:
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    return save(path, Image.fromarray(picture()), "PNG", exif=exif)


# What the EXIF standard says of each orientation, for an array (H, W, 3).
TURNED = {
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),  # a quarter turn clockwise
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", TURNED)
def test_a_photograph_is_turned_only_where_its_trimap_is(tmp_path, orientation):
    path = photograph(tmp_path / "a.jpg", orientation)
    np.testing.assert_array_equal(images.read_image(path), picture())
    as_stored = save(tmp_path / "stored.png", Image.fromarray(trimap_of(12, 20)), "PNG")
    image, trimap = images.read_pair(path, as_stored)
    np.testing.assert_array_equal(image, picture())
    np.testing.assert_array_equal(trimap, trimap_of(12, 20))
    turned = save(tmp_path / "turned.png", Image.fromarray(trimap_of(20, 12)), "PNG")
    image, trimap = images.read_pair(path, turned)
    np.testing.assert_array_equal(image, TURNED[orientation](picture()))
    np.testing.assert_array_equal(trimap, trimap_of(20, 12))


def test_jpeg_orientation_too(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 8
    path = save(tmp_path / "a.jpg", Image.fromarray(picture()), "JPEG", exif=exif)
    turned = save(tmp_path / "turned.png", Image.fromarray(trimap_of(20, 12)), "PNG")
    image, _ = images.read_pair(path, turned)
    np.testing.assert_array_equal(image, np.rot90(images.read_image(path)))


@pytest.mark.parametrize("orientation", [None, 1, 3])
def test_sizes_that_differ_are_refused(tmp_path, orientation):
    path = photograph(tmp_path / "a.jpg", orientation)
    trimap = save(tmp_path / "a.png", Image.fromarray(trimap_of(20, 12)), "PNG")
    assert f"{path} is 20 x 12 pixels but {trimap} is 12 x 20" in refusal(images.read_pair, path, trimap)


@pytest.mark.parametrize("size", [16, 64, 100])
def test_image_resize_is_pillows_and_torchvisions(size):
    noise = np.random.default_rng(0).integers(0, 256, (75, 50, 3), dtype=np.uint8)
    resized = images.resize_image(noise, size)
    assert resized.shape == (size, size, 3)
    expected = functional.resize(Image.fromarray(noise), [size, size], antialias=True)
    np.testing.assert_array_equal(resized, np.asarray(expected))
    tensor = torch.from_numpy(noise).permute(2, 0, 1)[None].double()
    antialiased = torch.nn.functional.interpolate(tensor, size=(size, size), mode="bilinear", antialias=True)
    assert np.abs(resized - antialiased[0].permute(1, 2, 0).numpy()).max() <= 1.01


@pytest.mark.parametrize("size", [16, 64, 100])
def test_trimap_resize_takes_the_nearest_pixel_centre(size):
    trimap = np.random.default_rng(0).integers(1, 4, (75, 50), dtype=np.uint8)
    rows, columns = (((np.arange(size) + 0.5) * length / size).astype(int) for length in trimap.shape)
    resized = images.resize_trimap(trimap, size)
    assert resized.dtype == np.uint8
    np.testing.assert_array_equal(resized, trimap[np.ix_(rows, columns)])
