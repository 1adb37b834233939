"""Colors of errors, as people with each kind of color blindness see them."""

import numpy as np
import pytest
from PIL import ImageColor

from petseg.report.tiles import FALSE_NEGATIVE, FALSE_POSITIVE

# Machado, Oliveira, Fernandes 2009, severity 1, on linear RGB.
BLINDNESS = {
    "none": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]


def lab(color, blindness):
    """CIELAB of an sRGB color as it is seen."""
    value = np.array(ImageColor.getrgb(color)) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(np.array(BLINDNESS[blindness]) @ linear, 0, 1) / [0.95047, 1, 1.08883]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_errors_can_be_told_from_each_other_and_from_every_gray(blindness):
    wrong, missed = (lab(color, blindness) for color in (FALSE_POSITIVE, FALSE_NEGATIVE))
    assert np.linalg.norm(wrong - missed) > 50
    for level in range(89, 167):  # of the faded background, see `tiles.mark`
        gray = lab(f"rgb({level}, {level}, {level})", blindness)
        assert min(np.linalg.norm(wrong - gray), np.linalg.norm(missed - gray)) > 25


def test_the_former_magenta_would_fail():
    assert np.linalg.norm(lab("#e0218a", "deutan") - lab("#848484", "deutan")) < 5
