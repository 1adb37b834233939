"""The files that are written for a photograph."""

from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from petseg.inference import outputs
from petseg.inference.outputs import KINDS, Outputs
from petseg.inference.photo import Photo
from petseg.inference.predictor import Prediction
from petseg.runtime.errors import DataError, PetsegError
from support.photos import photograph

RAMP = np.linspace(0, 1, 64, dtype=np.float32)[None].repeat(64, axis=0)  # the right half is pet
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def prediction(size=(90, 60), orientation=1, threshold=0.5):
    """Of a photograph with metadata, `size` pixels large as stored."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Orientation] = "Camera", orientation
    photograph(size=size).save("photo.jpg", exif=exif, icc_profile=PROFILE)
    return Prediction(Photo("photo.jpg"), [RAMP], threshold)


def write(predicted, *kinds, **options):
    """Returns the written images by file name."""
    planned = Outputs(Path("out"), kinds, **options)
    planned.write(predicted, Path("sub/a"))
    images = {}
    for path in planned.paths(Path("sub/a")):
        with Image.open(path) as image:
            image.load()
        images[str(path.relative_to("out/sub"))] = image
    assert len(list(Path("out/sub").iterdir())) == len(kinds)
    return images


def test_each_result_has_its_name_format_and_the_size_of_the_photograph():
    images = write(prediction(), *KINDS)
    facts = {name: (image.format, image.mode, image.size) for name, image in images.items()}
    assert facts == {
        "a_mask.png": ("PNG", "L", (90, 60)),
        "a_cutout.png": ("PNG", "RGBA", (90, 60)),
        "a_overlay.jpg": ("JPEG", "RGB", (90, 60)),
        "a_probability.png": ("PNG", "I;16", (90, 60)),
    }


def test_results_are_upright():
    assert {image.size for image in write(prediction(orientation=6), *KINDS).values()} == {(60, 90)}


@pytest.mark.parametrize("threshold", [0.25, 0.5])
def test_masks_and_probabilities_hold_what_was_predicted(threshold):
    predicted = prediction(threshold=threshold)
    images = write(predicted, "mask", "probability")
    expected = predicted.probability
    assert np.array_equal(images["a_mask.png"], np.where(expected > threshold, 255, 0))
    assert np.abs(np.asarray(images["a_probability.png"]) / 65535 - expected).max() <= 0.5 / 65535 + 1e-6


def test_cutouts_and_overlays_keep_metadata():
    for name, image in write(prediction(orientation=6), "cutout", "overlay").items():
        assert image.info["icc_profile"] == PROFILE, name
        assert image.getexif()[ExifTags.Base.Make] == "Camera", name
        assert image.getexif()[ExifTags.Base.Orientation] == 1, name


def test_cutouts_are_those_of_the_prediction():
    predicted = prediction()
    [(name, image)] = write(predicted, "cutout").items()
    assert name == "a_cutout.png"
    assert np.array_equal(image, predicted.cutout)


def test_cutouts_as_webp():
    [(name, image)] = write(prediction(), "cutout", format="webp").items()
    assert (name, image.format, image.mode) == ("a_cutout.webp", "WEBP", "RGBA")
    assert image.getpixel((2, 2))[3] < 10
    assert image.getpixel((88, 58))[3] > 245


def test_cutouts_on_a_color_and_on_a_picture():
    photograph(1, (30, 40)).save("beach.png")
    for background, color in (("#0000ff", (0, 0, 255)), (outputs.parse_background("beach.png"), None)):
        [(name, image)] = write(prediction(), "cutout", background=background, format="jpg").items()
        assert (name, image.format, image.mode, image.size) == ("a_cutout.jpg", "JPEG", "RGB", (90, 60))
        if color:
            assert np.abs(np.subtract(image.getpixel((2, 2)), color)).max() < 20


def test_a_background_is_a_color_or_a_picture():
    photograph().save("a.png")
    assert outputs.parse_background("white") == "white"
    assert outputs.parse_background("#ff8800") == "#ff8800"
    background = outputs.parse_background("a.png")
    assert not isinstance(background, str)
    assert background.size == (48, 36)
    with pytest.raises(PetsegError, match=r"--background is 'nocolor', which is neither a color, .* nor a file"):
        outputs.parse_background("nocolor")


@pytest.mark.parametrize(("kind", "size"), [("overlay", (65_536, 2)), ("cutout", (16_384, 2))])
def test_a_photograph_that_is_too_large_for_a_format_is_a_sentence(kind, size):
    predicted = Prediction(Photo(photograph(size=size)), [RAMP])
    with pytest.raises(
        DataError, match=rf"have {size[0]} x 2 pixels and (JPEG|WEBP) files have at most {size[0] - 1} per"
    ):
        Outputs(Path("out"), ["mask", kind], format="webp").write(predicted, Path("a"))
    assert [path.name for path in Path("out").iterdir()] == ["a_mask.png"]


def test_a_name_that_is_too_long_is_a_sentence():
    with pytest.raises(DataError, match="its name is too long; rename the photograph"):
        Outputs(Path("out"), ["mask"]).write(prediction(), Path("n" * 250))
    assert list(Path("out").iterdir()) == []


def test_the_output_folder_is_created_and_left_empty():
    for _ in range(2):
        outputs.prepare(Path("new/out"))
        assert list(Path("new/out").iterdir()) == []


@pytest.mark.parametrize("out", ["file", "file/below", "/proc/self/petseg"])
def test_a_folder_that_cannot_be_written_to_is_a_sentence(out):
    Path("file").touch()
    with pytest.raises(
        PetsegError, match=rf"^The results cannot be written to {out} \(.+\); name a folder with --out\.$"
    ):
        outputs.prepare(Path(out))
