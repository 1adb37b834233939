"""COCO, labelme, VIA and CVAT; tests/importing/test_third_party.py has whole data sets of COCO and labelme."""

import base64
import io
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from petseg.importing import formats, shapes

SIZE = (20, 10)


def box(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros(SIZE[::-1], bool)
    mask[top:bottom, left:right] = True
    return mask


def parse(content: object) -> list[formats.Picture]:
    kind = formats.kind(content)
    assert kind is not None
    return list(formats.PARSERS[kind](content))


def test_via() -> None:
    regions = [
        ({"name": "polygon", "all_points_x": [2, 8, 8, 2], "all_points_y": [1, 1, 5, 5]}, box(2, 1, 8, 5)),
        ({"name": "rect", "x": 2, "y": 1, "width": 6, "height": 4}, box(2, 1, 8, 5)),
        ({"name": "circle", "cx": 5, "cy": 5, "r": 0.7}, box(4, 4, 6, 6)),
        ({"name": "ellipse", "cx": 5, "cy": 5, "rx": 0.7, "ry": 0.7, "theta": 1}, box(4, 4, 6, 6)),
    ]
    listed = [{"shape_attributes": region, "region_attributes": {"kind": "cat"}} for region, _ in regions]
    listed.append({"shape_attributes": {"name": "point", "cx": 1, "cy": 1}, "region_attributes": {}})
    old = {"regions": dict(enumerate(listed)), "filename": "b.jpg"}
    project = {
        "_via_settings": {},
        "_via_img_metadata": {"a.jpg12": {"filename": "a.jpg", "size": 12, "regions": listed}},
    }
    for content, name in ((project, "a.jpg"), ({"b.jpg1": old}, "b.jpg")):
        [picture] = parse(content)
        assert (picture.name, picture.size, picture.skipped) == (name, None, 1)
        for shape, (_, expected) in zip(picture.shapes, regions, strict=True):
            assert shape.label == "cat"
            np.testing.assert_array_equal(shapes.draw([shape], SIZE), expected)


def test_cvat() -> None:
    text = """<annotations><version>1.1</version>
      <image id="0" name="sub/a.jpg" width="20" height="10">
        <polygon label="cat" points="2.0,1.0;8.0,1.0;8.0,5.0;2.0,5.0"/>
        <box label="cat" xtl="2" ytl="1" xbr="8" ybr="5"/>
        <ellipse label="cat" cx="5" cy="5" rx="0.7" ry="0.7"/>
        <mask label="cat" left="2" top="1" width="6" height="4" rle="0, 24"/>
        <polyline label="dog" points="1,1;2,2"/>
        <tag label="nice"/>
      </image>
      <image id="1" name="b.jpg" width="20" height="10"/>
    </annotations>"""
    first, second = parse(ElementTree.fromstring(text))
    assert (first.name, first.size, first.skipped) == ("sub/a.jpg", SIZE, 1)
    assert second == formats.Picture("b.jpg", SIZE, [])
    for shape, expected in zip(first.shapes, (box(2, 1, 8, 5),) * 2 + (box(4, 4, 6, 6), box(2, 1, 8, 5)), strict=True):
        np.testing.assert_array_equal(shapes.draw([shape], SIZE), expected)


def test_labelme_circles_and_masks() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 6), 255, np.uint8)).save(buffer, "PNG")
    content = {
        "imagePath": "a.jpg",
        "shapes": [
            {"label": "cat", "points": [[5, 5], [5.7, 5]], "shape_type": "circle"},
            {
                "label": "cat",
                "points": [[2, 1], [7, 4]],
                "shape_type": "mask",
                "mask": base64.b64encode(buffer.getvalue()).decode(),
            },
        ],
    }
    [picture] = parse(content)
    assert picture.size is None
    for shape, expected in zip(picture.shapes, (box(4, 4, 6, 6), box(2, 1, 8, 5)), strict=True):
        np.testing.assert_array_equal(shapes.draw([shape], SIZE), expected)


def test_coco_objects_without_an_outline() -> None:
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [
            {"image_id": 1, "category_id": 5, "segmentation": [[0, 0, 4, 0, 4, 4], [1, 1]]},
            {"image_id": 1, "category_id": 5, "bbox": [0, 0, 1, 1]},
        ],
    }
    [picture] = parse(content)
    assert (picture.size, picture.skipped, picture.shapes[0].label) == (None, 1, "5")
    assert len(picture.shapes[0].polygons) == 1


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        3,
        None,
        {"a": {"b": 1}},
        {"images": 3, "annotations": []},
        {"shapes": []},
        ElementTree.Element("annotation"),
    ],
)
def test_other_files_are_no_annotations(content: object) -> None:
    assert formats.kind(content) is None
