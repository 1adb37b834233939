"""Small data sets in the forms of others: how Pascal VOC, Cityscapes, COCO, labelme and so on lay out their files."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (48, 40)  # width and height
COUNT = 12  # images of a data set


@dataclass
class Made:
    """A data set in `folder`, and what an import must make of it."""

    folder: Path
    options: list[str] = field(default_factory=list)  # what the user types, as the program says
    masks: dict[str, np.ndarray] = field(default_factory=dict)  # by new name: 1 pet, 2 background, 3 border
    lists: dict[str, list[str]] = field(default_factory=dict)


def photograph(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """Gray noise, brighter where the pet is."""
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 120, (height, width, 3), np.uint8)
    pixels[pet(seed, size)] += 110
    return Image.fromarray(pixels)


def box(seed: int, size: tuple[int, int] = SIZE) -> tuple[int, int, int, int]:
    """The pet: left, top, right and bottom of a rectangle, the last two exclusive."""
    left, top = np.random.default_rng(seed).integers(4, 12, 2).tolist()
    return left, top, left + size[0] // 2, top + size[1] // 2


def pet(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.zeros(size[::-1], bool)
    left, top, right, bottom = box(seed, size)
    mask[top:bottom, left:right] = True
    return mask


def trimap(mask: np.ndarray) -> np.ndarray:
    return np.where(mask, 1, 2)


def save(image: Image.Image | np.ndarray, path: Path, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(path, **options)


def band(mask: np.ndarray, width: int = 1) -> np.ndarray:
    """Pixels around a mask, at most `width` away from it."""
    wide = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        wide[max(0, y - width) : y + width + 1, max(0, x - width) : x + width + 1] = True
    return wide & ~mask


def voc(folder: Path) -> Made:
    """Pascal VOC: palette images of class numbers, with a band of 255 around objects, and lists train and val."""
    made, root = Made(folder, ["--pet", "8,12"]), folder / "VOCdevkit/VOC2012"
    palette = np.random.default_rng(7).integers(0, 256, (256, 3), np.uint8)
    palette[0] = 0
    for i in range(COUNT):
        name, mask = f"2007_{i:06d}", pet(i)
        save(photograph(i), root / f"JPEGImages/{name}.jpg")
        numbers = np.where(mask, (8, 12)[i % 2], 0).astype(np.uint8)
        numbers[band(mask)] = 255
        numbers[-3:, -6:] = 255  # ignored, but not around a pet
        numbers[:3, -6:] = 15
        for kind in ("SegmentationClass", "SegmentationObject"):
            colored = Image.fromarray(numbers)
            colored.putpalette(palette.tobytes())
            save(colored, root / f"{kind}/{name}.png")
        made.masks[name] = trimap(mask)
        made.masks[name][band(mask)] = 3
    for i in range(3):
        save(photograph(i + 50), root / f"JPEGImages/2009_{i:06d}.jpg")  # without a mask
    names = list(made.masks)
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for name, listed in (("train", names[:8]), ("val", names[8:]), ("trainval", names)):
        (lists / f"{name}.txt").write_text("".join(f"{each}\n" for each in listed))
    made.lists = {"trainval.txt": names[:8], "test.txt": names[8:]}
    return made


def cityscapes(folder: Path) -> Made:
    """Cityscapes: cities, images and several kinds of masks with suffixes, ids up to 33, a test split without truth."""
    made, cities = Made(folder, ["--pet", "26"]), {"aachen": "train", "bonn": "train", "munster": "val"}
    for city, split in cities.items():
        for i in range(4):
            stem, seed = f"{city}_{i:06d}_000019", 10 * len(city) + i
            save(photograph(seed), folder / f"leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png")
            ids = np.where(pet(seed), 26, 7).astype(np.uint8)
            ids[:2] = 33
            where = folder / f"gtFine/{split}/{city}/{stem}_gtFine"
            save(ids, where.with_name(f"{where.name}_labelIds.png"))
            save(np.where(ids == 26, 26001, ids).astype(np.uint16), where.with_name(f"{where.name}_instanceIds.png"))
            save(np.stack([ids] * 3 + [ids * 0 + 255], axis=-1), where.with_name(f"{where.name}_color.png"))
            where.with_name(f"{where.name}_polygons.json").write_text('{"imgHeight": 40, "objects": []}')
            made.masks[f"{city}_{i + 1}"] = trimap(pet(seed))
    save(photograph(99), folder / "leftImg8bit/test/berlin/berlin_000000_000019_leftImg8bit.png")
    names = list(made.masks)
    made.lists = {"trainval.txt": names[:8], "test.txt": names[8:]}
    return made


def coco(folder: Path, rle: bool = False) -> Made:
    """COCO: polygons, with two objects in one image; with `rle`, run lengths by columns for one of them."""
    made = Made(folder, ["--pet", "cat,dog"])
    content = {"images": [], "annotations": [], "categories": []}
    content["categories"] = [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}, {"id": 62, "name": "chair"}]
    for i in range(COUNT):
        name, mask = f"{i:012d}", pet(i)
        save(photograph(i), folder / f"val2017/{name}.jpg")
        content["images"].append({"id": i, "file_name": f"{name}.jpg", "width": SIZE[0], "height": SIZE[1]})
        left, top, right, bottom = box(i)
        outline = [left, top, right, top, right, bottom, left, bottom]
        add = content["annotations"].append
        if rle and i == 0:
            columns = mask.T.ravel()
            changes = np.flatnonzero(np.diff(columns)) + 1
            counts = np.diff([0, *changes, columns.size]).tolist()
            add({"image_id": i, "category_id": 17, "segmentation": {"size": [SIZE[1], SIZE[0]], "counts": counts}})
        else:
            add({"image_id": i, "category_id": 17, "segmentation": [outline]})
        add({"image_id": i, "category_id": 18, "segmentation": [[0, 0, 3, 0, 3, 2, 0, 2]]})
        add({"image_id": i, "category_id": 62, "segmentation": [[40, 30, 48, 30, 48, 40, 40, 40]]})
        mask[:2, :3] = True
        made.masks[name] = trimap(mask)
    (folder / "annotations").mkdir()
    (folder / "annotations/instances_val2017.json").write_text(json.dumps(content))
    return made


def labelme(folder: Path) -> Made:
    """labelme: one JSON file beside each image, with Windows paths and a line, which has no area."""
    made = Made(folder)
    for i in range(COUNT):
        name = f"tom_{i}"
        save(photograph(i), folder / f"photos/{name}.jpg")
        left, top, right, bottom = box(i)
        shapes = [
            {"label": "tom", "points": [[left, top], [right, bottom]], "shape_type": "rectangle"},
            {"label": "tail", "points": [[1, 1], [9, 9]], "shape_type": "linestrip"},
        ]
        if i % 2:
            outline = [[left, top], [right, top], [right, bottom], [left, bottom]]
            shapes[0] = {"label": "tom", "points": outline, "shape_type": "polygon"}
        content = {"shapes": shapes, "imagePath": f"..\\photos\\{name}.jpg", "imageData": None}
        content |= {"imageWidth": SIZE[0], "imageHeight": SIZE[1], "version": "5.5.0"}
        (folder / "labels").mkdir(exist_ok=True)
        (folder / f"labels/{name}.json").write_text(json.dumps(content))
        made.masks[name] = trimap(pet(i))
    return made


def carvana(folder: Path) -> Made:
    """Carvana: train/ and train_masks/ with NAME_mask.gif, whose indices are black and white."""
    made = Made(folder)
    for i in range(COUNT):
        name = f"fff9b3a5373f_{i + 1:02d}"
        save(photograph(i), folder / f"train/{name}.jpg")
        save(Image.fromarray(pet(i)), folder / f"train_masks/{name}_mask.gif")
        made.masks[name] = trimap(pet(i))
    return made


def isic(folder: Path) -> Made:
    """ISIC: NAME.jpg and NAME_segmentation.png in folders with long names, and other texts."""
    made = Made(folder)
    for i in range(COUNT):
        name = f"ISIC_{i:07d}"
        save(photograph(i), folder / f"ISIC2018_Task1-2_Training_Input/{name}.jpg")
        where = folder / "ISIC2018_Task1_Training_GroundTruth"
        save((pet(i) * 255).astype(np.uint8), where / f"{name}_segmentation.png")
        made.masks[name] = trimap(pet(i))
    (folder / "ISIC2018_Task1-2_Training_Input/LICENSE.txt").write_text("CC-0")
    return made


def mattes(folder: Path) -> Made:
    """Gray mattes with soft edges, names with spaces, the same name in NFC and NFD."""
    made = Made(folder)
    for i in range(COUNT):
        name, mask = f"gro\u0308ße {i}", pet(i)
        save(photograph(i), folder / f"img/{name}.jpg")
        soft = (mask * 255).astype(np.uint8)
        left, top, right, _ = box(i)
        soft[top, left:right] = np.linspace(100, 160, right - left)
        save(soft, folder / f"alpha/größe {i}.png")
        made.masks[f"größe_{i}"] = trimap(soft >= 128)
    return made


def cutouts(folder: Path) -> Made:
    """Cut-outs: RGBA images whose transparency is the mask."""
    made = Made(folder)
    for i in range(COUNT):
        pixels = np.asarray(photograph(i).convert("RGBA")).copy()
        pixels[..., 3] = pet(i) * 255
        save(pixels, folder / f"rex_{i}.png")
        made.masks[f"rex_{i}"] = trimap(pet(i))
    return made


def stack(folder: Path) -> Made:
    """A microscope's stack: a TIFF of twelve pages of 12 bits, and another of masks."""
    made = Made(folder)
    masks = [pet(i) for i in range(COUNT)]
    pages = [Image.fromarray(np.asarray(photograph(i).convert("L")).astype(np.uint16) * 16) for i in range(COUNT)]
    save(pages[0], folder / "images/cells.tif", save_all=True, append_images=pages[1:])
    pages = [Image.fromarray((mask * 255).astype(np.uint8)) for mask in masks]
    save(pages[0], folder / "labels/cells.tif", save_all=True, append_images=pages[1:])
    made.masks = {f"cells_{i + 1:02d}": trimap(mask) for i, mask in enumerate(masks)}
    return made


def nuclei(folder: Path) -> Made:
    """A folder for each image, with one mask for each object in it, as in the 2018 Data Science Bowl."""
    made = Made(folder)
    for i in range(COUNT):
        name = f"{i:02}ae6cd7978c"
        top = pet(i)
        top[SIZE[1] // 2 :] = False
        save(photograph(i), folder / f"{name}/images/{name}.png")
        for number, part in enumerate((top, pet(i) & ~top)):
            save(np.uint8(part * 255), folder / f"{name}/masks/{i:03x}{number}07d63d.png")
        made.masks[name] = trimap(pet(i))
    return made


def splits(folder: Path) -> Made:
    """Folders train, valid and test, each with images and labels of 0 and 1, and breeds below."""
    made, names, number = Made(folder), {"train": [], "valid": [], "test": []}, 0
    for split, count in (("train", 18), ("valid", 2), ("test", 4)):
        for i in range(count):
            number += 1
            breed = ("pug", "persian")[i % 2]
            save(photograph(number), folder / f"{split}/images/{breed}/{number}.png")
            save(pet(number).astype(np.uint8), folder / f"{split}/labels/{breed}/{number}.png")
            names[split].append(f"{breed}_{number}")
            made.masks[names[split][-1]] = trimap(pet(number))
    train = sorted(names["train"], key=lambda name: (name.split("_")[0], name.split("_")[1]))
    valid = sorted(names["valid"])
    made.lists = {"trainval.txt": [valid[0], *train[:9], valid[1], *train[9:]], "test.txt": sorted(names["test"])}
    return made


def colors(folder: Path) -> Made:
    """Masks that show classes by color, in one folder with the images."""
    made = Made(folder, ["--pet-colour", "#800000", "--pet-color", "lime"])
    for i in range(COUNT):
        pixels = np.zeros((*SIZE[::-1], 3), np.uint8)
        pixels[pet(i)] = (128, 0, 0)
        pixels[-3:, :5] = (0, 255, 0)
        pixels[:2] = (0, 0, 128)
        save(photograph(i), folder / f"scene{i}.jpg")
        save(pixels, folder / f"scene{i}.jpg_L_gt.png")
        made.masks[f"scene{i}"] = trimap((pixels == (128, 0, 0)).all(axis=-1) | (pixels == (0, 255, 0)).all(axis=-1))
    return made


MAKERS = (voc, cityscapes, coco, labelme, carvana, isic, mattes, cutouts, stack, nuclei, splits, colors)
