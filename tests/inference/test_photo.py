"""Photographs in the formats, orientations, color modes and sizes in which people have them."""

import io
import itertools
import struct
import sys
import tarfile
import threading
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, features

from petseg.data import images
from petseg.inference import photo
from petseg.inference.photo import Photo
from petseg.runtime.errors import DataError
from support.paths import real_data

Y, X = np.mgrid[:40, :64]
PIXELS = np.stack([Y * 6, X * 3, 255 - (X + Y) * 2], axis=-1).astype(np.uint8)  # differs in each direction and channel
ORIENTATION, DATE = ExifTags.Base.Orientation, ExifTags.Base.DateTime

# What each EXIF orientation asks for, for an array (H, W, 3).
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),  # a quarter turn clockwise
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


def save(path: Path, image: np.ndarray | Image.Image, kind: str = "PNG", **options) -> Path:
    """Saves an image in the format `kind`, whatever the suffix."""
    content = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(content, kind, **options)
    path.write_bytes(content.getvalue())
    return path


def exif(**tags) -> Image.Exif:
    made = Image.Exif()
    for name, value in tags.items():
        made[ExifTags.Base[name]] = value
    return made


def error(source) -> str:
    """The one sentence with which opening or decoding fails."""
    with pytest.raises(DataError) as caught:
        Photo(source).rgb()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def pixels(opened: Photo) -> np.ndarray:
    """All pixels; checks that every way to see the photograph agrees on size and content."""
    image = opened.rgb()
    assert (image.mode, image.size) == ("RGB", opened.size)
    array = np.asarray(image)
    square = opened.square(8)
    assert (square.shape, square.dtype) == ((8, 8, 3), np.uint8)
    assert np.abs(square.astype(int) - images.resize_image(array, 8)).mean() < 3
    return array


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "TGA", "JPEG2000"])
def test_lossless_formats_whatever_the_suffix(tmp_path, kind):
    opened = Photo(save(tmp_path / ("a.tga" if kind == "TGA" else "a.jpg"), PIXELS, kind))
    np.testing.assert_array_equal(pixels(opened), PIXELS)
    assert opened.notes == []


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "WEBP", "AVIF", "HEIF"])
def test_lossy_formats(tmp_path, kind):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    if kind == "HEIF":
        pytest.importorskip("pillow_heif", reason="HEIC needs the package pillow-heif").register_heif_opener()
    opened = Photo(save(tmp_path / "a.jpg", PIXELS, kind, quality=95))
    assert np.abs(pixels(opened) - 1.0 * PIXELS).mean() < 6
    assert opened.notes == []


def test_paths_arrays_and_images_give_the_same(tmp_path):
    path = save(tmp_path / "ein Hund, 犬, سگ.png", PIXELS)
    path.chmod(0o444)
    opened = [Photo(path), Photo(str(path)), Photo(PIXELS), Photo(Image.fromarray(PIXELS))]
    for each in opened:
        np.testing.assert_array_equal(pixels(each), PIXELS)
    assert [each.path for each in opened] == [path, path, None, None]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "MPO"])
@pytest.mark.parametrize("orientation", TURNS)
def test_orientation(tmp_path, kind, orientation):
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind in ("JPEG", "MPO") else {}
    path = save(tmp_path / "a", PIXELS, kind, exif=exif(Orientation=orientation), **options)
    expected = TURNS[orientation](PIXELS)
    assert Photo(path).size == expected.shape[1::-1]  # from the header
    with Image.open(path) as image:
        for source in (path, image):
            opened = Photo(source)
            assert np.abs(pixels(opened) - 1.0 * expected).mean() < 6
            assert np.abs(opened.square(16) - 1.0 * images.resize_image(np.ascontiguousarray(expected), 16)).mean() < 6
            kept = Image.Exif()
            kept.load(opened.metadata().get("exif", b""))
            assert kept.get(ORIENTATION, 1) == 1
        if kind != "TIFF":  # Pillow applies that of a TIFF when it decodes
            assert image.getexif()[ORIENTATION] == orientation


def test_a_given_image_is_not_changed(tmp_path):
    with Image.open(save(tmp_path / "a.jpg", PIXELS, "JPEG", exif=exif(Orientation=6))) as image:
        opened = Photo(image)
        opened.square(2)
        opened.metadata()
        assert (image.size, image.getexif()[ORIENTATION]) == ((64, 40), 6)
        assert opened.rgb().size == (40, 64)


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_orientation_that_the_container_stores(tmp_path, kind):
    """AVIF and HEIC rotate by a property of the container; the EXIF orientation of HEIC does not count."""
    if kind == "HEIF":
        pytest.importorskip("pillow_heif", reason="HEIC needs the package pillow-heif").register_heif_opener()
    elif not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    path = save(tmp_path / "a", PIXELS, kind, exif=exif(Orientation=6), quality=95)
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(pixels(Photo(path)), TURNS[6](expected) if kind == "AVIF" else expected)


def test_heic_without_its_package_names_the_package(tmp_path, monkeypatch):
    pytest.importorskip("pillow_heif", reason="HEIC needs the package pillow-heif").register_heif_opener()
    path = save(tmp_path / "a.heic", PIXELS, "HEIF")
    monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name != "HEIF"])
    np.testing.assert_array_equal(Photo(path).rgb().size, (64, 40))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert error(path) == f"{path} is a HEIC file, which needs one more package; type `pip install pillow-heif`."


def png_16(path: Path, values: np.ndarray, kind: str) -> Path:
    """Writes uint16 values: gray, RGB or BGRA, as OpenCV has it."""
    done, content = cv2.imencode(f".{kind}", values[..., ::-1] if values.shape[2:] == (3,) else values)
    assert done
    path.write_bytes(content.tobytes())
    return path


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_16_bits_of_which_some_are_used(tmp_path, kind, color, bits):
    values = (PIXELS.astype(np.uint16) << (bits - 8)) + (2 ** (bits - 8) - 1)
    values[0, 0] = 2**bits - 1  # the maximum in each channel
    opened = Photo(png_16(tmp_path / "a.jpg", values if color else values[..., 0], kind))
    found = pixels(opened)
    expected = (values >> (bits - 8)).astype(np.uint8)
    np.testing.assert_array_equal(found, expected if color else np.repeat(expected[..., :1], 3, axis=2))
    told = f"16 bits per channel, of which {bits} are used: scaled accordingly"
    assert opened.notes == ([] if bits == 16 else [told])


@pytest.mark.parametrize("orientation", TURNS)
def test_16_bit_color_is_turned_once(tmp_path, orientation):
    """Pillow and OpenCV both know the orientation of a TIFF."""
    path = png_16(tmp_path / "a.tiff", PIXELS.astype(np.uint16) << 8, "tiff")
    content = bytearray(path.read_bytes())
    (directory,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, directory)
    entries = [bytes(content[directory + 2 + 12 * i : directory + 14 + 12 * i]) for i in range(count)]
    entries = [entry for entry in entries if entry[:2] != struct.pack("<H", ORIENTATION)]
    entries = sorted([*entries, struct.pack("<HHIHH", ORIENTATION, 3, 1, orientation, 0)], key=lambda e: e[1::-1])
    struct.pack_into("<I", content, 4, len(content))
    path.write_bytes(content + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4))
    np.testing.assert_array_equal(pixels(Photo(path)), TURNS[orientation](PIXELS))


def test_16_bit_color_with_alpha_is_blended_with_white(tmp_path):
    values = np.full((4, 6, 4), 1000, np.uint16)
    values[..., 3] = [65535, 65535, 0, 0, 32768, 32768]
    values[..., 0] = 500
    found = pixels(Photo(png_16(tmp_path / "a.png", values, "png")))
    assert found[0, 0].tolist() == [250, 250, 125]  # of 10 bits
    assert found[0, 2].tolist() == [255] * 3


@pytest.mark.parametrize("values", [np.float32([[0.5, 3]]), np.int32([[5, 70000]])])
def test_32_bit_channels_are_refused(tmp_path, values):
    path = save(tmp_path / "a.tiff", values, "TIFF")
    assert error(path) == f"{path} has 32 bits per channel, whose range is unknown; save it with 8 or 16."


def test_gray_palette_and_one_bit(tmp_path):
    gray = Image.fromarray(PIXELS[..., 0])
    np.testing.assert_array_equal(pixels(Photo(save(tmp_path / "a.png", gray)))[..., 2], PIXELS[..., 0])
    indexed = gray.quantize(8)
    np.testing.assert_array_equal(pixels(Photo(save(tmp_path / "a.png", indexed))), np.asarray(indexed.convert("RGB")))
    bits = PIXELS[..., 0] > 99
    np.testing.assert_array_equal(pixels(Photo(save(tmp_path / "a.png", bits)))[..., 1], bits * 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparent_pixels_are_blended_with_white(tmp_path, mode, kind):
    alpha = np.repeat(np.uint8([[255], [51], [0]]), 4, axis=1)
    bands = [np.full((3, 4), 100, np.uint8)] * (1 if mode == "LA" else 3) + [alpha]
    image = Image.merge("LA" if mode == "LA" else "RGBA", [Image.fromarray(band) for band in bands])
    if mode == "P":
        image = image.quantize()
    found = Photo(save(tmp_path / "a", image, kind, lossless=True)).rgb()
    assert [found.getpixel((0, y)) for y in range(3)] == [(100,) * 3, (224,) * 3, (255,) * 3]


def test_cmyk_without_a_profile(tmp_path):
    for kind in ("JPEG", "TIFF"):
        opened = Photo(save(tmp_path / "a", Image.new("CMYK", (16, 8), (0, 255, 255, 0)), kind))
        assert np.abs(pixels(opened).astype(int) - (255, 0, 0)).max() <= 3
        assert opened.notes == ["CMYK without a usable color profile: colors are approximate"]
        assert opened.metadata() == {}


def color_profile(space: bytes) -> bytes:
    """An ICC profile (version 2): of CMYK, in which cyan, magenta and yellow ink are red, or of linear gray."""

    def tag(kind: bytes, body: bytes) -> bytes:
        return kind + bytes(4) + body + bytes(-len(body) % 4)

    white = tag(b"XYZ ", struct.pack(">iii", 63190, 65536, 54061))
    if space == b"GRAY":
        tags = {b"wtpt": white, b"kTRC": tag(b"curv", struct.pack(">I", 0))}
    else:
        # A table (lut8) from CMYK to Lab, with a node where each ink is 0 or full.
        white_lab, red, black = (255, 128, 128), (136, 208, 195), (0, 128, 128)
        lab = bytes(v for node in range(16) for v in (black if node % 2 else red if node else white_lab))
        linear = bytes(range(256))
        head = bytes([4, 3, 2, 0]) + struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
        tags = {b"wtpt": white, b"A2B0": tag(b"mft1", head + 4 * linear + lab + 3 * linear)}
    table, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    head = struct.pack(
        ">I4sI4s4s4s", start + len(body), b"lcms", 0x02400000, kind, space, b"Lab " if space == b"CMYK" else b"XYZ "
    )
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_converted_by_its_profile(tmp_path, kind):
    image = Image.new("CMYK", (16, 8), (255, 255, 0, 0))  # blue by Pillow's formula, red by the profile
    opened = Photo(save(tmp_path / "a", image, kind, icc_profile=color_profile(b"CMYK")))
    red, green, blue = pixels(opened)[4, 8].astype(int)
    assert red > 200
    assert max(green, blue) < 60
    assert opened.notes == ["CMYK: converted to sRGB by its color profile"]
    assert opened.metadata() == {}


def test_gray_is_converted_by_its_profile(tmp_path):
    gray = Image.new("L", (16, 8), 55)
    opened = Photo(save(tmp_path / "a.png", gray, icc_profile=color_profile(b"GRAY")))
    assert np.abs(pixels(opened).astype(int) - 128).max() <= 3  # linear 55 / 255 is 128 in sRGB
    assert opened.metadata() == {}


def test_damaged_profiles_are_ignored(tmp_path):
    for image in (Image.new("CMYK", (16, 8), (0, 255, 255, 0)), Image.new("L", (16, 8), 200)):
        space = b"CMYK" if image.mode == "CMYK" else b"GRAY"
        opened = Photo(save(tmp_path / "a", image, "TIFF", icc_profile=color_profile(space)[:140]))
        assert pixels(opened)[0, 0, 0] in (255, 200)
        assert opened.metadata() == {}


def test_an_rgb_profile_and_exif_are_kept(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    tags = exif(Orientation=8, DateTime="2026:11:26 10:00:00", Make="Größe")
    tags.get_ifd(ExifTags.IFD.Exif).update({ExifTags.Base.ExifImageWidth: 64, ExifTags.Base.ExifImageHeight: 40})
    tags.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    for kind in ("JPEG", "PNG", "TIFF", "WEBP"):
        opened = Photo(save(tmp_path / "a", PIXELS, kind, exif=tags.tobytes(), icc_profile=profile))
        with Image.open(save(tmp_path / "b", opened.rgb(), "PNG", **opened.metadata())) as saved:
            assert saved.info["icc_profile"] == profile
            kept = saved.getexif()
            assert (kept[ORIENTATION], kept[DATE]) == (1, "2026:11:26 10:00:00")
            assert ExifTags.Base.StripOffsets not in kept
            assert saved.size == (40, 64)
            if kind != "TIFF":  # Pillow writes a TIFF's EXIF as tags of the image itself
                details = kept.get_ifd(ExifTags.IFD.Exif)
                assert (details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight]) == (40, 64)
                assert kept.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"


@pytest.mark.parametrize("damage", [b"II*\0\xff\0\0\0", b"MX\0*\0\0\0\x08\0\x01", b"MM\0*", b""])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_is_ignored(tmp_path, kind, damage):
    opened = Photo(save(tmp_path / "a", PIXELS, kind, exif=b"Exif\0\0" + damage))
    assert opened.rgb().size == (64, 40)
    assert opened.metadata() == {}


def test_damaged_exif_of_a_tiff_is_ignored(tmp_path):
    tags = exif(DateTime="2026:11:26 10:00:00")
    path = save(tmp_path / "a.tiff", PIXELS, "TIFF", exif=tags, tiffinfo={ExifTags.IFD.Exif: 0x7FFFFFF0})
    assert Photo(path).rgb().size == (64, 40)


def test_exif_after_the_pixels_of_a_png(tmp_path):
    content = save(tmp_path / "a.png", PIXELS).read_bytes()
    body = b"eXIf" + exif(Orientation=6).tobytes()[6:]
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "a.png").write_bytes(content[:-12] + chunk + content[-12:])
    assert Photo(tmp_path / "a.png").size == (40, 64)
    np.testing.assert_array_equal(pixels(Photo(tmp_path / "a.png")), TURNS[6](PIXELS))


@pytest.mark.parametrize(
    ("kind", "note"),
    [
        ("GIF", "animated: only the first of 3 frames is used"),
        ("WEBP", "animated: only the first of 3 frames is used"),
        ("PNG", "animated: only the first of 3 frames is used"),
        ("AVIF", "animated: only the first of 3 frames is used"),
        ("TIFF", "multi-page: only the first of 3 pages is used"),
        ("MPO", None),
        ("HEIF", "several pictures: only the main one of 3 is used"),
    ],
)
def test_the_first_of_several_frames(tmp_path, kind, note):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    if kind == "HEIF":
        pytest.importorskip("pillow_heif", reason="HEIC needs the package pillow-heif").register_heif_opener()
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "lime", "blue")]
    opened = Photo(save(tmp_path / "a", frames[0], kind, save_all=True, append_images=frames[1:]))
    assert np.abs(pixels(opened)[8, 8] - (255.0, 0, 0)).max() <= 3
    assert opened.notes == ([note] if note else [])


def test_files_that_are_no_photographs(tmp_path):
    assert error(tmp_path / "no.jpg") == f"{tmp_path / 'no.jpg'} does not exist; check its name."
    assert error(tmp_path) == f"{tmp_path} is a folder; name a photograph."
    for content in (b"", b"<html>404</html>", b"\xff\xd8\xff\xe0garbage", b"\0\0\0\x18ftypisom" + bytes(99)):
        (tmp_path / "a.jpg").write_bytes(content)
        assert error(tmp_path / "a.jpg").startswith(f"{tmp_path / 'a.jpg'} cannot be decoded (")
        assert error(tmp_path / "a.jpg").endswith("; copy it again from where it came, or convert it to JPEG or PNG.")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "AVIF", "HEIF"])
@pytest.mark.parametrize("method", ["rgb", "square"])
def test_truncated_files(tmp_path, kind, method):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    if kind == "HEIF":
        pytest.importorskip("pillow_heif", reason="HEIC needs the package pillow-heif").register_heif_opener()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = save(tmp_path / "a", noise, kind)
    content = path.read_bytes()
    for length in (5, len(content) // 2, len(content) * 9 // 10):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match="cannot be decoded"):
            getattr(Photo(path), method)(*([8] if method == "square" else []))


def test_truncated_16_bit_color(tmp_path):
    noise = np.random.default_rng(0).integers(0, 65536, (64, 64, 3), dtype=np.uint16)
    path = png_16(tmp_path / "a.png", noise, "png")
    path.write_bytes(path.read_bytes()[:9000])
    assert "cannot be decoded" in error(path)


@pytest.mark.parametrize("array", [np.zeros((4, 4)), np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 4), np.uint8)])
def test_arrays_that_are_no_photographs(array):
    assert "it must be uint8 (H, W, 3)" in error(array)


def test_empty_arrays():
    assert error(np.zeros((0, 4, 3), np.uint8)) == "the image has 4 x 0 pixels; use an image that is not empty."


def png_of(width: int, height: int, rows: int) -> bytes:
    """A PNG of black one-bit pixels, which is small at any size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = zlib.compress(bytes(1 + (width + 7) // 8) * rows, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_180_megapixels_are_decoded_and_absurd_sizes_are_refused(tmp_path):
    limit = Image.MAX_IMAGE_PIXELS
    (tmp_path / "large.png").write_bytes(png_of(18000, 10000, rows=10000))
    opened = Photo(tmp_path / "large.png")
    assert opened.rgb().size == opened.size == (18000, 10000)
    (tmp_path / "absurd.png").write_bytes(png_of(100_000, 5001, rows=1))
    expected = f"{tmp_path / 'absurd.png'} has 100000 x 5001 pixels, more than 500 million; make it smaller."
    assert error(tmp_path / "absurd.png") == expected
    assert limit == Image.MAX_IMAGE_PIXELS


def test_threads_leave_the_settings_of_pillow_and_warnings(tmp_path):
    path = save(tmp_path / "a.jpg", PIXELS, "JPEG", exif=b"Exif\0\0MM\0*")
    limit, failures = Image.MAX_IMAGE_PIXELS, []

    def read() -> None:
        try:
            for _ in range(20):
                Photo(path).square(8)
        except Exception as caught:
            failures.append(caught)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert limit == Image.MAX_IMAGE_PIXELS


def test_large_jpegs_are_decoded_at_a_fraction_of_their_size(tmp_path, monkeypatch):
    path = save(tmp_path / "a.jpg", np.tile(PIXELS, (16, 16, 1)), "JPEG", quality=95)  # 1024 x 640
    seen = []
    resize = images.resize_image
    monkeypatch.setattr(
        photo.images, "resize_image", lambda image, size: seen.append(image.shape) or resize(image, size)
    )
    for size in (40, 64, 128, 256, 512):
        Photo(path).square(size)
    assert seen == [(80, 128, 3), (160, 256, 3), (320, 512, 3), (640, 1024, 3), (640, 1024, 3)]
    assert Photo(path).rgb().size == (1024, 640)


def test_draft_mode_hardly_changes_what_the_network_sees(tmp_path):
    """Photographs at 1/2 to 1/4 of their size."""
    differences = []
    with tarfile.open(real_data("oxford-pets-mini/images.tar.gz")) as tar:
        for member in itertools.islice(tar, 60):
            content = tar.extractfile(member) if member.name.endswith(".jpg") else None
            if content is None:
                continue
            (tmp_path / "a.jpg").write_bytes(content.read())
            opened = Photo(tmp_path / "a.jpg")
            if min(opened.size) >= 256:
                full = images.resize_image(np.asarray(opened.rgb()), 64)
                differences.append(np.abs(opened.square(64) - 1.0 * full).mean())
    assert len(differences) > 20
    assert 0 < np.mean(differences) < 1
    assert max(differences) < 2.5
