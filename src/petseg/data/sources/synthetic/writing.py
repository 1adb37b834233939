"""Writes a set of synthetic images in the official layout of Oxford-IIIT Pet."""

from functools import partial
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from petseg.data.sources.synthetic.breeds import BREEDS, CATS, DOGS
from petseg.data.sources.synthetic.drawing import draw
from petseg.runtime import pool
from petseg.runtime.files import write_text

_JPEG_QUALITY = 92
_CHUNK = 4  # images that a worker takes at once
_HEADER = """#Image CLASS-ID SPECIES BREED ID
#ID: 1:37 Class ids
#SPECIES: 1:Cat 2:Dog
#BREED ID: 1-12:Cat 1-25:Dog
#All images with 1st letter as capital are cat images
#images with small first letter are dog images
"""


def write(folder: Path, images: int, seed: int, workers: int) -> None:
    """Writes `images` images into an existing, empty folder; its bytes depend on `images` and `seed` only.

    Writes `images/NAME.jpg`, `annotations/trimaps/NAME.png` and the lists `annotations/{list,trainval,test}.txt`, with
    lines "NAME CLASS-ID SPECIES BREED-ID". Images with an even index are trainval, the others test. Because the number
    of breeds has no common factor with 20, breeds are balanced in both lists and in every tenth line of trainval.

    Args:
        folder: the destination.
        images: number of images.
        seed: of the set, see `drawing.draw`.
        workers: processes that render; with 1, this process does the work.

    Raises:
        OSError: the disk is full, or the folder cannot be written to.
    """
    (folder / "images").mkdir()
    (folder / "annotations" / "trimaps").mkdir(parents=True)
    with (
        tqdm(total=images, desc="rendering", unit=" images", disable=None) as bar,
        pool.in_order(partial(_write_one, folder, seed), range(images), workers, _CHUNK) as written,
    ):
        for _ in written:
            bar.update()
    lines = [_line(index) for index in range(images)]
    lists = {"trainval": lines[0::2], "test": lines[1::2], "list": sorted(lines, key=_official_order)}
    for name, entries in lists.items():
        header = _HEADER if name == "list" else ""
        write_text(folder / "annotations" / f"{name}.txt", header + "".join(f"{line}\n" for line in entries))


def image_name(index: int) -> str:
    """The name of image `index`, such as Abyssinian_1: its breed, and the number of images of that breed so far."""
    return f"{BREEDS[index % len(BREEDS)].name}_{index // len(BREEDS) + 1}"


def _write_one(folder: Path, seed: int, index: int) -> None:
    drawing, name = draw(index, seed), image_name(index)
    Image.fromarray(drawing.image).save(folder / "images" / f"{name}.jpg", quality=_JPEG_QUALITY)
    Image.fromarray(drawing.trimap).save(folder / "annotations" / "trimaps" / f"{name}.png")


def _line(index: int) -> str:
    """NAME CLASS-ID SPECIES BREED-ID of image `index`, with the official numbers."""
    breed = BREEDS[index % len(BREEDS)]
    # Classes are numbered by name regardless of case, breeds by name within their species.
    class_id = 1 + sorted(BREEDS, key=lambda each: each.name.lower()).index(breed)
    kin = CATS if breed.is_cat else DOGS
    return f"{image_name(index)} {class_id} {1 if breed.is_cat else 2} {1 + kin.index(breed)}"


def _official_order(line: str) -> tuple[int, int]:
    name, class_id, _, _ = line.split()
    return int(class_id), int(name.rpartition("_")[2])
