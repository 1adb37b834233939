"""Recognition of copies."""

import cv2
import numpy as np
import pytest

from petseg.audit import duplicates, similarity
from petseg.audit.duplicates import Pair
from petseg.audit.facts import THUMB
from support.audited import COPIES, copy_of, picture


def thumb(image):
    return cv2.resize(np.asarray(image.convert("L")), (THUMB, THUMB), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def thumbs():
    """Tiny pictures of 30 photographs, then of a copy of each."""
    rng = np.random.default_rng(0)
    images = [picture(i)[0] for i in range(30)]
    return np.stack(
        [thumb(image) for image in images + [copy_of(image, COPIES[i % 6], rng) for i, image in enumerate(images)]]
    )


def test_every_copy_is_a_candidate_and_few_others_are(thumbs):
    whole, windows = similarity.hashes(thumbs)
    found = [each for block in similarity.blocks(whole, 16) for each in similarity.nearest(block, windows)]
    pairs = {frozenset((each.first, each.second)) for each in found}
    assert {frozenset((i, i + 30)) for i in range(30)} <= pairs
    assert len(pairs) < 60
    assert all(each.first != each.second for each in found)


def test_all_copies_agree_after_alignment_and_few_others_do(thumbs):
    whole, windows = similarity.hashes(thumbs)
    agreeing = {
        frozenset((each.first, each.second))
        for each in similarity.nearest((0, whole), windows)
        if similarity.align_thumbs((thumbs[each.first], thumbs[each.second], each)) >= similarity.THUMBS_AGREE
    }
    assert {frozenset((i, i + 30)) for i in range(30)} <= agreeing
    assert len(agreeing) < 40


def test_the_alignment_finds_the_crop():
    image = np.asarray(picture(1)[0].convert("L"))
    part = np.ascontiguousarray(image[10:170, 15:225])
    match = similarity.align(part, image, np.array([[1, 0, 12], [0, 1, 12]], np.float32), 60)
    assert match.same
    assert match.matrix == pytest.approx(np.array([[1, 0, 15], [0, 1, 10]]), abs=0.3)


def test_strangers_in_equal_frames_are_not_the_same():
    images = []
    for i in range(2):
        framed = np.full((180, 240), 255, np.uint8)
        framed[14:-14, 14:-14] = np.asarray(picture(i, (212, 152))[0].convert("L"))
        images.append(framed)
    assert not similarity.align(images[0], images[1], np.eye(2, 3, dtype=np.float32), 60).same


def pair(first, second, dice=0.9):
    return Pair(first, second, False, False, 0.9, 1.0, dict.fromkeys(duplicates.CONVENTIONS, dice))


def test_pairs_that_share_an_image_are_one_group():
    pairs = [pair("a", "b"), pair("c", "d"), pair("b", "e"), pair("d", "f"), pair("g", "h"), pair("e", "i")]
    assert duplicates.groups(pairs) == [("a", "b", "e", "i"), ("c", "d", "f"), ("g", "h")]


def test_a_copied_mask_says_nothing_about_the_ceiling_and_a_wrong_one_is_reported():
    pairs = [pair("a", "b", 0.96), pair("c", "d", 1.0), pair("e", "f", 0.3), pair("g", "h", 0.98), pair("h", "i", 0.98)]
    found = {finding.kind: finding for finding in duplicates._ceiling(pairs)}
    assert found["masks-disagree"].images == ["e", "f"]
    assert found["annotation-ceiling"].images == ["a", "b", "g", "h", "i"]
    assert found["annotation-ceiling"].numbers["dice_border_foreground"] == 0.97  # of two photographs
