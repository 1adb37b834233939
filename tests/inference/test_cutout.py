"""Cut-outs: the soft edge, the colors in it, backgrounds and overlays, on drawn pictures with exact truth."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageColor

from petseg.inference.cutout import BAND, OUTLINE, alpha, cutout, on_background, overlay
from petseg.runtime.errors import DataError

RED, GREEN = np.float32([200, 30, 20]), np.float32([20, 180, 40])


def disk(width: int = 600, height: int = 400) -> np.ndarray:
    """Signed distance from the outline of a disk, in pixels, positive inside, (H, W)."""
    y, x = np.mgrid[:height, :width]
    return 0.35 * height - np.hypot(x - width / 2 + 0.5, y - height / 2 + 0.5)


def scene(width: int = 600, height: int = 400, network: int = 64) -> tuple[Image.Image, np.ndarray, np.ndarray]:
    """A red pet on green: the photograph, the true alpha, and a network's probabilities, enlarged bilinearly."""
    true = np.clip(disk(width, height) / 3 + 0.5, 0, 1).astype(np.float32)
    mixed = true[..., None] * RED + (1 - true[..., None]) * GREEN
    seen = Image.fromarray(true).resize((network, network), Image.Resampling.BILINEAR)
    probability = np.asarray(seen.resize((width, height), Image.Resampling.BILINEAR))
    return Image.fromarray(mixed.round().astype(np.uint8)), true, probability


def test_opacity_rises_within_the_band():
    values = np.float32([[0, 0.5 - BAND, 0.5 - BAND / 2, 0.5, 0.5 + BAND / 2, 0.5 + BAND, 1]])
    found = alpha(values)
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found, [[0, 0, 64, 128, 191, 255, 255]], atol=1)


@pytest.mark.parametrize("threshold", [0, 0.01, 0.3, 0.5, 0.9, 0.99, 1])
def test_opacity_is_half_at_any_threshold(threshold):
    values = np.linspace(0, 1, 1001, dtype=np.float32)[None]
    found = alpha(values, threshold)
    assert (np.diff(found.astype(int)) >= 0).all()
    np.testing.assert_array_equal(found >= 128, values >= np.float32(threshold))
    assert found[0, -1] == 255
    assert found[0, 0] == (255 if threshold == 0 else 0)


@pytest.mark.parametrize("network", [32, 64, 128])
@pytest.mark.parametrize("color", ["black", "white"])
def test_no_green_is_left_around_a_red_pet(network, color):
    """At most 2 % of the background's green is left in any pixel; a plain mask, and a soft one, leave over 10 %."""
    photo, _, probability = scene(network=network)
    band = (probability > 0.02) & (probability < 0.98)

    def green(picture: Image.Image) -> float:
        """The largest excess of green over red in the band, as a share of the background's."""
        shown = np.asarray(on_background(picture, color), np.float32)
        return float((shown[..., 1] - shown[..., 0])[band].max() / (GREEN[1] - GREEN[0]))

    plain = photo.copy()
    plain.putalpha(Image.fromarray(np.where(probability >= 0.5, np.uint8(255), np.uint8(0))))
    uncorrected = photo.copy()
    uncorrected.putalpha(Image.fromarray(alpha(probability)))
    assert green(cutout(photo, probability)) < 0.02
    assert green(plain) > 0.1
    assert green(uncorrected) > 0.1


def test_a_cutout_keeps_what_is_opaque_and_clears_what_is_far_away():
    photo, _, probability = scene()
    cut = cutout(photo, probability)
    assert (cut.mode, cut.size) == ("RGBA", photo.size)
    found, opacity = np.asarray(cut), alpha(probability)
    np.testing.assert_array_equal(found[..., 3], opacity)
    np.testing.assert_array_equal(found[opacity == 255][:, :3], np.asarray(photo)[opacity == 255])
    distance = disk()
    assert (found[distance < -40] == 0).all()
    beside = (opacity == 0) & (distance > -5)  # transparent, but a viewer may interpolate them
    assert beside.any()
    assert np.abs(found[beside][:, :3] - RED).max() < 12


def test_colors_of_the_edge_are_closer_to_the_truth():
    photo, true, probability = scene(network=128)
    edge = (true > 0) & (alpha(probability) < 255)
    found = np.asarray(cutout(photo, probability))[..., :3]

    def error(colors: np.ndarray) -> float:
        return float((np.abs(colors - RED).mean(axis=-1) * true)[edge].sum() / true[edge].sum())

    assert error(found) < 0.25 * error(np.asarray(photo))


def test_scaling_a_cutout_brings_no_old_or_dark_color():
    photo, _, probability = scene()
    small = np.asarray(cutout(photo, probability).resize((150, 100), Image.Resampling.BOX).convert("RGBA"), np.float32)
    # Straight, without multiplying by alpha, as simple viewers do.
    bands = [Image.fromarray(np.asarray(band)) for band in cutout(photo, probability).split()]
    simple = np.dstack([np.asarray(band.resize((150, 100), Image.Resampling.BOX), np.float32) for band in bands])
    for found in (small, simple):
        assert np.abs(found[found[..., 3] > 64][:, :3] - RED).max() < 16


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_nothing_and_everything(value):
    photo, _, probability = scene(60, 40)
    found = np.asarray(cutout(photo, np.full_like(probability, value)))
    if value >= 0.5:  # alpha at the threshold is 128, and no edge is near
        np.testing.assert_array_equal(found[..., :3], np.asarray(photo))
    assert np.unique(found[..., 3]).tolist() == [255 if value >= 0.5 else 0]
    if value == 0:
        assert not found.any()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 700), (700, 1), (3, 2)])
def test_any_size(width, height):
    photo = Image.new("RGB", (width, height), "red")
    probability = np.full((height, width), 0.6, np.float32)
    assert cutout(photo, probability).size == (width, height)
    assert overlay(photo, probability > 0.5).size == (width, height)


def test_sizes_and_modes_must_match():
    photo, _, probability = scene(60, 40)
    for wrong in (lambda: cutout(photo, probability.T), lambda: overlay(photo.convert("L"), probability > 0.5)):
        with pytest.raises(ValueError, match="does not fit"):
            wrong()


@pytest.mark.parametrize("color", ["white", "#1e90ff", "hsl(120, 50%, 50%)", "#ff000080"])
def test_a_color_as_background(color):
    photo, _, probability = scene(60, 40)
    found = on_background(cutout(photo, probability), color)
    assert (found.mode, found.size) == ("RGB", (60, 40))
    assert found.getpixel((0, 0)) == ImageColor.getrgb(color)[:3]
    assert found.getpixel((30, 20)) == photo.getpixel((30, 20))


def test_an_unknown_color():
    photo, _, probability = scene(60, 40)
    with pytest.raises(DataError, match=r"^grue is not a color; use a name such as white, or #rrggbb\.$"):
        on_background(cutout(photo, probability), "grue")


@pytest.mark.parametrize("size", [(120, 40), (30, 200), (7, 5)])
def test_an_image_as_background_covers_and_is_centered(size):
    """Left half blue, right half yellow: the border stays in the middle."""
    photo, _, probability = scene(60, 40)
    halves = np.zeros((size[1], size[0], 3), np.uint8)
    halves[:, : size[0] // 2] = (0, 0, 255)
    halves[:, (size[0] + 1) // 2 :] = (255, 255, 0)
    found = np.asarray(on_background(cutout(photo, probability), Image.fromarray(halves)))
    assert found.shape == (40, 60, 3)
    assert found[0, :18, 2].min() > 200
    assert found[0, -18:, 0].min() > 200


@pytest.mark.parametrize("width", [200, 1500])
def test_an_overlay_shows_the_mask_at_any_size(width):
    photo, true, _ = scene(width, width * 2 // 3)
    mask, distance = true > 0.5, disk(width, width * 2 // 3)
    found, original = np.asarray(overlay(photo, mask)).astype(int), np.asarray(photo).astype(int)
    np.testing.assert_array_equal(found[mask], original[mask])
    line = max(1.5, width / 300)
    far = distance < -4 * line
    assert np.ptp(found[far], axis=-1).max() == 0  # gray
    colored = np.abs(found - ImageColor.getrgb(OUTLINE)).max(axis=-1) < 10
    assert colored[(distance < -0.8) & (distance > -0.6 * line)].mean() > 0.9
    assert not colored[far].any()


@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_a_mask_of_bool_or_255(dtype):
    photo, true, _ = scene(60, 40)
    mask = true > 0.5
    found = overlay(photo, mask if dtype is bool else mask.astype(np.uint8) * 255)
    assert found.tobytes() == overlay(photo, mask).tobytes()


MEASURED = """
import io, sys, numpy
from PIL import Image
from petseg.inference import cutout
from petseg.inference.photo import Photo

def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

file = sys.argv[1]
before = peak()
photo = Photo(file)
photo.square(256)
rgb = photo.rgb()
probability = numpy.zeros((3000, 4000), numpy.float32)
probability[500:2500, 500:3500] = 1
cutout.cutout(rgb, probability)
cutout.overlay(rgb, probability > 0.5)
print((peak() - before) / 12e6)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_is_bounded_by_that_of_the_pixels(tmp_path):
    """The goal is 1.5 GiB for 50 megapixels: 32 bytes per pixel."""
    Image.fromarray(np.zeros((3000, 4000, 3), np.uint8)).save(tmp_path / "a.jpg")
    command = [sys.executable, "-c", MEASURED, str(tmp_path / "a.jpg")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 8 < float(done.stdout) < 28


def test_an_uncertain_network_gives_neither_clouds_nor_holes():
    probability = np.full((400, 600), 0.4, np.float32)
    probability[100:300, 200:400] = 0.6
    found = np.asarray(cutout(Image.new("RGB", (600, 400), "red"), probability).getchannel("A"))
    mask = probability > 0.5
    assert np.array_equal(found >= 128, mask)
    near = np.zeros_like(mask)
    near[75:325, 175:425] = True
    near[125:275, 225:375] = False
    assert set(np.unique(found[~near])) == {0, 255}
    assert 0 < found[200, 195] < 128 < found[200, 205] < 255
