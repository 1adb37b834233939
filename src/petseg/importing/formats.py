"""The formats of annotations: COCO, labelme and VIA (JSON), CVAT (XML). Each gives pictures with shapes."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

import numpy as np

from petseg.importing import shapes
from petseg.importing.shapes import Shape


class Picture(NamedTuple):
    """What an annotation says about one image."""

    name: str  # as written, perhaps with folders
    size: tuple[int, int] | None  # width and height
    shapes: list[Shape]
    skipped: int = 0  # shapes without an area, such as points


def kind(content: Any) -> str | None:
    """COCO, labelme, VIA, CVAT, or None if it is none of them."""
    if isinstance(content, Element):
        return "CVAT" if content.tag == "annotations" and content.find("image") is not None else None
    if not isinstance(content, dict):
        return None
    if isinstance(content.get("images"), list) and isinstance(content.get("annotations"), list):
        return "COCO"
    if isinstance(content.get("shapes"), list) and "imagePath" in content:
        return "labelme"
    files = _via_files(content)
    return "VIA" if files and all(isinstance(each, dict) and "regions" in each for each in files) else None


def _via_files(content: dict[str, Any]) -> list[Any]:
    files = content.get("_via_img_metadata", content)
    return list(files.values()) if isinstance(files, dict) else []


def _coco(content: dict[str, Any]) -> Iterator[Picture]:
    names = {each["id"]: str(each["name"]) for each in content.get("categories", [])}
    objects: dict[Any, list[Shape]] = {}
    skipped: dict[Any, int] = {}
    for each in content["annotations"]:
        found = each.get("segmentation")
        label = names.get(each.get("category_id"), str(each.get("category_id")))
        if isinstance(found, dict):
            shape = Shape(label, rle=found)
        elif found:
            shape = Shape(label, tuple(shapes.polygon(part) for part in found if len(part) >= 6))
        else:
            skipped[each["image_id"]] = skipped.get(each["image_id"], 0) + 1
            continue
        objects.setdefault(each["image_id"], []).append(shape)
    for image in content["images"]:
        size = (int(image["width"]), int(image["height"])) if image.get("width") else None
        number = image["id"]
        yield Picture(str(image["file_name"]), size, objects.get(number, []), skipped.get(number, 0))


def _labelme(content: dict[str, Any]) -> Iterator[Picture]:
    found, skipped = [], 0
    for each in content["shapes"]:
        points, label = shapes.polygon(each["points"]), str(each["label"])
        match each.get("shape_type", "polygon"):
            case "polygon":
                found.append(Shape(label, (points,)))
            case "rectangle":
                (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
                found.append(Shape(label, (shapes.rectangle(left, top, right - left, bottom - top),)))
            case "circle":
                (x, y), radius = points[0], float(((points[0] - points[1]) ** 2).sum() ** 0.5)
                found.append(Shape(label, (shapes.ellipse(x, y, radius, radius),)))
            case "mask":
                left, top = points.min(axis=0)
                found.append(Shape(label, bitmap=(int(left), int(top), shapes.png(each["mask"]))))
            case _:
                skipped += 1
    size = (int(content["imageWidth"]), int(content["imageHeight"])) if content.get("imageWidth") else None
    yield Picture(str(content["imagePath"]), size, found, skipped)


def _via(content: dict[str, Any]) -> Iterator[Picture]:
    for file in _via_files(content):
        regions = file["regions"].values() if isinstance(file["regions"], dict) else file["regions"]
        found, skipped = [], 0
        for region in regions:
            where, about = region["shape_attributes"], region.get("region_attributes") or {}
            label = str(next(iter(about.values()), "object"))
            match where["name"]:
                case "polygon":
                    points = list(zip(where["all_points_x"], where["all_points_y"], strict=True))
                    found.append(Shape(label, (shapes.polygon(points),)))
                case "rect":
                    box = [where[key] for key in ("x", "y", "width", "height")]
                    found.append(Shape(label, (shapes.rectangle(*box),)))
                case "circle":
                    found.append(Shape(label, (shapes.ellipse(where["cx"], where["cy"], where["r"], where["r"]),)))
                case "ellipse":
                    x, y, radius_x, radius_y = (where[key] for key in ("cx", "cy", "rx", "ry"))
                    turn = np.rad2deg(where.get("theta", 0))
                    found.append(Shape(label, (shapes.ellipse(x, y, radius_x, radius_y, turn),)))
                case _:
                    skipped += 1
        yield Picture(str(file["filename"]), None, found, skipped)


def _cvat(content: Element) -> Iterator[Picture]:
    for image in content.iter("image"):
        found, skipped = [], 0
        for each in image:
            label, number = each.get("label", "object"), lambda key, each=each: float(each.attrib[key])
            if each.tag == "polygon":
                points = [point.split(",") for point in each.attrib["points"].split(";")]
                found.append(Shape(label, (shapes.polygon(points),)))
            elif each.tag == "box":
                left, top, right, bottom = map(number, ("xtl", "ytl", "xbr", "ybr"))
                found.append(Shape(label, (shapes.rectangle(left, top, right - left, bottom - top),)))
            elif each.tag == "ellipse":
                x, y, radius_x, radius_y = map(number, ("cx", "cy", "rx", "ry"))
                turn = float(each.get("rotation", 0))
                found.append(Shape(label, (shapes.ellipse(x, y, radius_x, radius_y, turn),)))
            elif each.tag == "mask":
                left, top, width, height = (int(each.attrib[key]) for key in ("left", "top", "width", "height"))
                counts = [int(count) for count in each.attrib["rle"].split(",")]
                found.append(Shape(label, bitmap=(left, top, shapes.runs(counts, width, height))))
            elif each.tag != "tag":
                skipped += 1
        size = (int(image.attrib["width"]), int(image.attrib["height"])) if image.get("width") else None
        yield Picture(image.attrib["name"], size, found, skipped)


PARSERS: dict[str, Callable[[Any], Iterator[Picture]]] = {
    "COCO": _coco,
    "labelme": _labelme,
    "VIA": _via,
    "CVAT": _cvat,
}
