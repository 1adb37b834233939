from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from petseg.data.sources import masks
from petseg.runtime.errors import DataError

# 4 x 6, so that height and width cannot be mixed up; the pet is the upper left corner
PET = np.zeros((4, 6), bool)
PET[:2, :3] = True


def image_of(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8))


def palette(indices: np.ndarray, *colours: tuple[int, int, int]) -> Image.Image:
    image = image_of(indices)
    image.putpalette([value for colour in colours for value in colour])
    return image


BLACK_AND_WHITE = {
    "grey.png": image_of(PET * 255),
    "one_bit.png": Image.fromarray(PET),
    "one_bit.tif": Image.fromarray(PET),
    "sixteen_bit.png": Image.fromarray((PET * 65535).astype(np.uint16)),
    "float.tif": Image.fromarray((PET * 255).astype(np.float32)),
    "rgb.png": image_of(PET * 255).convert("RGB"),
    "rgba.png": image_of(PET * 255).convert("RGBA"),
    "grey_alpha.png": image_of(PET * 255).convert("LA"),
    "palette.png": palette(1 - PET, (255, 255, 255), (0, 0, 0)),  # index 0 is white: the colours count
    "palette.gif": palette(1 - PET, (255, 255, 255), (0, 0, 0)),
    "lossless.webp": image_of(PET * 255).convert("RGB"),
    "grey.bmp": image_of(PET * 255),
}


@pytest.mark.parametrize("name", BLACK_AND_WHITE)
def test_black_and_white_in_any_format(tmp_path: Path, name: str) -> None:
    options = {"lossless": True} if name.endswith(".webp") else {}
    BLACK_AND_WHITE[name].save(tmp_path / name, **options)
    np.testing.assert_array_equal(masks.read(tmp_path / name), PET * 255)
    assert masks.values(tmp_path / name) == {0, 255}


def test_indices_of_a_coloured_palette(tmp_path: Path) -> None:
    """Label images often show class 1 in red."""
    palette(PET, (0, 0, 0), (255, 0, 0)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(masks.read(tmp_path / "a.png"), PET * 1)


def test_indices_of_a_palette_with_greys(tmp_path: Path) -> None:
    palette(np.where(PET, 1, 2), (0, 0, 0), (80, 80, 80), (160, 160, 160)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(masks.read(tmp_path / "a.png"), np.where(PET, 1, 2))


def test_trimap_values_are_kept(tmp_path: Path) -> None:
    trimap = np.where(PET, 1, 2)
    trimap[2] = 3
    image_of(trimap).save(tmp_path / "a.png")
    np.testing.assert_array_equal(masks.read(tmp_path / "a.png"), trimap)


def test_jpeg_is_cut_at_half(tmp_path: Path) -> None:
    pet = np.kron(PET, np.ones((40, 40), bool))
    pet[20:50, 20:50] = False
    image_of(pet * 255).convert("RGB").save(tmp_path / "a.jpg", quality=60)
    assert len(np.unique(np.asarray(Image.open(tmp_path / "a.jpg")))) > 2  # it does blur
    np.testing.assert_array_equal(masks.read(tmp_path / "a.jpg"), pet * 255)


@pytest.mark.parametrize("highest", [1, 3])
def test_jpeg_of_small_numbers_is_refused(tmp_path: Path, highest: int) -> None:
    numbers = np.full((64, 64), highest)
    image_of(numbers).save(tmp_path / "a.jpg", quality=100)
    with pytest.raises(DataError, match=r"a\.jpg is a JPEG whose values are not clearly 0 or 255"):
        masks.read(tmp_path / "a.jpg")


def test_jpeg_of_greys_is_refused(tmp_path: Path) -> None:
    image_of(np.tile(np.arange(256), (8, 1))).save(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="not clearly 0 or 255"):
        masks.read(tmp_path / "a.jpg")


def test_colour_is_refused(tmp_path: Path) -> None:
    Image.merge("RGB", [image_of(PET * 255), image_of(PET * 0), image_of(PET * 0)]).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png is coloured"):
        masks.read(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_refused(tmp_path: Path, mode: str) -> None:
    image = image_of(PET * 255).convert(mode)
    image.putalpha(image_of(PET * 255))
    image.save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png is partly transparent"):
        masks.read(tmp_path / "a.png")


def test_undecodable_and_truncated(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(DataError, match=r"text\.png cannot be decoded \(no known image format\)"):
        masks.read(tmp_path / "text.png")
    image_of(np.random.default_rng(0).integers(0, 256, (64, 64))).save(tmp_path / "cut.png")
    content = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cut\.png cannot be decoded"):
        masks.read(tmp_path / "cut.png")


def kind(*values: set) -> str:
    return masks.kind((Path(f"{i}.png"), frozenset(found)) for i, found in enumerate(values))


def test_kind() -> None:
    assert kind({0, 255}, {0}, {255}) == "0/255"
    assert kind({0}, {255}) == "0/255"
    assert kind({1}, {0, 1}, {0}) == "0/1"
    assert kind({1}, {2}, {1, 2, 3}) == "trimap 1/2/3"
    assert kind({1}, {1, 2}) == "trimap 1/2/3"
    assert kind({1.0, 0.0}) == "0/1"


@pytest.mark.parametrize(
    ("only", "pet"), [({1}, 1), ({0}, 2), ({255}, 1), ({2}, 2)], ids=["all 1", "all 0", "all 255", "all 2"]
)
def test_masks_of_a_single_value(only: set, pet: int) -> None:
    value = next(iter(only))
    assert (masks.trimap(np.full((2, 3), value), kind(only, only)) == pet).all()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([{0, 255}, {0, 128, 255}], r"^1\.png holds the values 0, 128, 255, unlike 0\.png \(0/255\): "),
        ([{1, 2, 3, 4}], r"^0\.png holds the values 1, 2, 3, 4: "),
        ([{0, 1, 2}], r"^0\.png holds the values 0, 1, 2: "),
        ([{1}, {0, 1}, {1, 2}], r"^2\.png holds the values 1, 2, unlike 1\.png \(0/1\): "),
        ([{0}, {1, 2, 3}], r"^1\.png holds the values 1, 2, 3, unlike 0\.png \(0/255 or 0/1\): "),
        ([set(range(256))], r"^0\.png holds the values 0, 1, 2, 3, 4, 5, 6, 7, \.\.\.: "),
    ],
)
def test_values_that_do_not_fit(values: list[set], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        kind(*values)


@pytest.mark.parametrize(("name", "high"), [("0/255", 255), ("0/1", 1)])
def test_a_mask_becomes_a_trimap_without_border(name: str, high: int) -> None:
    trimap = masks.trimap(PET * high, name)
    assert trimap.dtype == np.uint8
    np.testing.assert_array_equal(trimap, np.where(PET, 1, 2))


def test_a_trimap_stays() -> None:
    values = np.array([[1, 2, 3]], np.uint16)
    trimap = masks.trimap(values, "trimap 1/2/3")
    assert trimap.dtype == np.uint8
    np.testing.assert_array_equal(trimap, values)
