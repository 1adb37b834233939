from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from petseg.data.sources import masks
from petseg.runtime.errors import DataError

# Height and width differ; the pet is in the upper left corner.
PET = np.zeros((4, 6), bool)
PET[:2, :3] = True


def make_image(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8))


def make_palette_image(indices: np.ndarray, *colors: tuple[int, int, int]) -> Image.Image:
    image = make_image(indices)
    image.putpalette([value for color in colors for value in color])
    return image


BLACK_AND_WHITE = {
    "gray.png": make_image(PET * 255),
    "one_bit.png": Image.fromarray(PET),
    "one_bit.tif": Image.fromarray(PET),
    "sixteen_bit.png": Image.fromarray((PET * 65535).astype(np.uint16)),
    "float.tif": Image.fromarray((PET * 255).astype(np.float32)),
    "rgb.png": make_image(PET * 255).convert("RGB"),
    "rgba.png": make_image(PET * 255).convert("RGBA"),
    "gray_alpha.png": make_image(PET * 255).convert("LA"),
    "palette.png": make_palette_image(1 - PET, (255, 255, 255), (0, 0, 0)),  # index 0 is white: the colors count
    "palette.gif": make_palette_image(1 - PET, (255, 255, 255), (0, 0, 0)),
    "lossless.webp": make_image(PET * 255).convert("RGB"),
    "gray.bmp": make_image(PET * 255),
}


@pytest.mark.parametrize("name", BLACK_AND_WHITE)
def test_black_and_white_in_any_format(tmp_path: Path, name: str) -> None:
    options = {"lossless": True} if name.endswith(".webp") else {}
    BLACK_AND_WHITE[name].save(tmp_path / name, **options)
    np.testing.assert_array_equal(masks.read(tmp_path / name), PET * 255)
    assert masks.values(tmp_path / name) == {0, 255}


@pytest.mark.parametrize(
    ("values", "colors"),
    [
        (PET * 1, [(0, 0, 0), (255, 0, 0)]),  # as in label images that show class 1 in red
        (np.where(PET, 1, 2), [(0, 0, 0), (80, 80, 80), (160, 160, 160)]),
        (np.where(PET, 1, 3), []),  # a trimap without a palette
    ],
)
def test_other_values_are_kept_and_colored_palettes_are_read_as_indices(tmp_path: Path, values, colors) -> None:
    image = make_palette_image(values, *colors) if colors else make_image(values)
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(masks.read(tmp_path / "a.png"), values)


def test_a_jpeg_is_thresholded_at_128(tmp_path: Path) -> None:
    gray = np.kron(PET * 255, np.ones((40, 40), int))
    gray[8:16, 8:16], gray[88:96, 200:208] = 100, 150  # whole JPEG blocks, few enough to be soft edges
    make_image(gray).convert("RGB").save(tmp_path / "a.jpg", quality=90)
    np.testing.assert_array_equal(masks.read(tmp_path / "a.jpg"), np.where(gray >= 128, 255, 0))


@pytest.mark.parametrize(
    "values",
    [np.ones((64, 64)), np.full((64, 64), 3), np.tile(np.arange(256), (8, 1))],
    ids=["all 1", "all 3", "gradient"],
)
def test_a_jpeg_that_is_not_black_and_white_is_refused(tmp_path: Path, values: np.ndarray) -> None:
    make_image(values).save(tmp_path / "a.jpg", quality=100)
    with pytest.raises(DataError, match=r"a\.jpg is a JPEG whose values are not clearly 0 or 255"):
        masks.read(tmp_path / "a.jpg")


def translucent(mode: str) -> Image.Image:
    image = make_image(PET * 255).convert(mode)
    image.putalpha(make_image(PET * 255))
    return image


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (Image.merge("RGB", [make_image(PET * value) for value in (255, 0, 0)]), "is colored"),
        (translucent("RGBA"), "is partly transparent"),
        (translucent("LA"), "is partly transparent"),
    ],
)
def test_colors_and_transparency_are_refused(tmp_path: Path, image: Image.Image, reason: str) -> None:
    image.save(tmp_path / "a.png")
    with pytest.raises(DataError, match=rf"a\.png {reason}"):
        masks.read(tmp_path / "a.png")


def encoding(*values: set) -> str:
    return masks.encoding((Path(f"{i}.png"), frozenset(found)) for i, found in enumerate(values))


def test_encoding() -> None:
    assert encoding({0, 255}, {0}, {255}) == "0/255"
    assert encoding({0}, {255}) == "0/255"
    assert encoding({1}, {0, 1}, {0}) == "0/1"
    assert encoding({1}, {2}, {1, 2, 3}) == "trimap 1/2/3"
    assert encoding({1}, {1, 2}) == "trimap 1/2/3"
    assert encoding({1.0, 0.0}) == "0/1"


@pytest.mark.parametrize(
    ("only", "pet"), [({1}, 1), ({0}, 2), ({255}, 1), ({2}, 2)], ids=["all 1", "all 0", "all 255", "all 2"]
)
def test_masks_of_a_single_value(only: set, pet: int) -> None:
    value = next(iter(only))
    assert (masks.trimap(np.full((2, 3), value), encoding(only, only)) == pet).all()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([{0, 255}, {0, 128, 255}], r"^1\.png holds the values 0, 128, 255, unlike 0\.png \(0/255\): "),
        ([{1, 2, 3, 4}], r"^0\.png holds the values 1, 2, 3, 4: "),
        ([{0, 1, 2}], r"^0\.png holds the values 0, 1, 2: "),
        ([{1}, {0, 1}, {1, 2}], r"^2\.png holds the values 1, 2, unlike 1\.png \(0/1\): "),
        ([{0}, {1, 2, 3}], r"^1\.png holds the values 1, 2, 3, unlike 0\.png \(0/255 or 0/1\): "),
        ([set(range(256))], r"^0\.png holds the values 0, 1, .*; if these are soft edges, run: .* --threshold 128$"),
        (
            [{0, 8, 12, 255}],
            r"^0\.png .*; if these are class numbers, run: .* --pet all \(or --pet 8,12 for some of them",
        ),
    ],
)
def test_unknown_values_and_different_encodings(values: list[set], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        encoding(*values)


@pytest.mark.parametrize(
    ("encoding", "mask", "expected"),
    [
        ("0/255", PET * 255, np.where(PET, 1, 2)),
        ("0/1", PET * 1, np.where(PET, 1, 2)),
        ("trimap 1/2/3", np.array([[1, 2, 3]], np.uint16), np.array([[1, 2, 3]])),
    ],
)
def test_conversion_to_a_trimap(encoding: str, mask: np.ndarray, expected: np.ndarray) -> None:
    trimap = masks.trimap(mask, encoding)
    assert trimap.dtype == np.uint8
    np.testing.assert_array_equal(trimap, expected)
