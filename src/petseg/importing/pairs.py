"""Which mask belongs to which image, by the names of files and folders."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import NamedTuple

from petseg.importing.scan import Files, shared_start
from petseg.runtime.errors import DataError

MASK_WORDS = {
    *("alpha", "alphas", "matte", "mattes", "mask", "masks", "trimap", "trimaps", "truth", "groundtruth", "gt"),
    *("annotation", "annotations", "annots", "label", "labels", "labeled", "labelled", "lbl"),
    *("seg", "segmentation", "segmentations", "segmented"),
}
IMAGE_WORDS = {
    *("image", "images", "img", "imgs", "jpegimages", "photo", "photos", "picture", "pictures"),
    *("input", "inputs", "original", "originals", "rgb"),
}
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# Other pictures of the same objects: instances of VOC and Cityscapes, and their renderings in color.
_UNWANTED = {"color", "colour", "colors", "instance", "instances", "object", "objects", "overlay", "overlays"}
_IMAGE_AFFIXES = (("", ""), ("image_", ""), ("img_", ""), ("", "_image"), ("", "_img"), ("", "_rgb"), ("", "_sat"))
_SAMPLE = 40  # masks from which the rule is learned
_RULES = 12  # rules that are tried on all files


class Place(NamedTuple):
    """What the path of a file says."""

    path: Path
    stem: str  # NFC, without spaces
    role: str  # image, mask, other or "" if the folders do not say
    split: str  # train, valid, test or ""
    group: tuple[str, ...]  # the other folders


class Rule(NamedTuple):
    """An image and a mask belong together if their stems are equal without these prefixes and suffixes."""

    level: int  # how much of the path must be equal, too; see `_key`
    image: tuple[str, str]
    mask: tuple[str, str]

    def text(self) -> str:
        """For example "NAME.* and NAME_mask.*"."""
        return " and ".join(f"{before}NAME{after}.*" for before, after in (self.image, self.mask))


class Pair(NamedTuple):
    """An image and its masks: more than one if each has a part of the objects."""

    image: Place
    name: str  # the stem, without prefix and suffix
    masks: tuple[Path, ...]


@dataclass
class Match:
    """The result of `match`."""

    rule: str  # which image and mask belong together, in words
    pairs: list[Pair]
    images: list[Path] = field(default_factory=list)  # without a mask
    masks: list[Path] = field(default_factory=list)  # without an image
    guess: str = ""


def words(name: str) -> list[str]:
    """The words of a name, in lower case: "leftImg8bit" has left, img, 8 and bit."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[^\W\d_]+?(?=[A-Z]|[\W\d_]|$)|\d+", name)]


def tidy(stem: str) -> str:
    """A stem in NFC, with _ for spaces, so that names written differently compare equal."""
    return "_".join(unicodedata.normalize("NFC", stem).split())


def place(path: Path, root: Path) -> Place:
    """Reads role, split and group of a file from its folders."""
    role, split, group = "", "", []
    for part in path.relative_to(root).parent.parts:
        known = set(words(part))
        is_mask = bool(known & MASK_WORDS)
        if is_mask or known & IMAGE_WORDS:
            role = "mask" if is_mask else "image"
        if role == "mask" and known & _UNWANTED:
            role = "other"
        splits = [SPLIT_WORDS[word] for word in words(part) if word in SPLIT_WORDS]
        split = splits[0] if splits else split
        if not splits and not known & (MASK_WORDS | IMAGE_WORDS):
            group.append(part)
    return Place(path, tidy(path.stem), role, split, tuple(group))


def match(files: Files) -> Match | None:
    """Finds the masks of the images; None if no file can be a mask of another.

    Raises:
        DataError: two images, or two masks, fit each other equally.
    """
    images, masks, guess = roles([place(path, files.root) for path in files.images])
    if not images or not masks:
        return None
    if shared := _by_folder(images, masks):
        return shared
    counts = {rule: _count(rule, images, masks) for rule in _rules(images, masks)}
    best = max(counts, key=lambda rule: (counts[rule], _preference(rule)), default=None)
    return _apply(best, images, masks, guess) if best is not None and any(counts[best]) else None


def _by_folder(images: Sequence[Place], masks: Sequence[Place]) -> Match | None:
    """Pairs the one image of each folder with all masks in it, as in the 2018 Data Science Bowl; None if not so.

    That is clear only if some image has several masks.
    """
    of_folder = {(each.split, each.group): each for each in images if each.group}
    if len(of_folder) < len(images):
        return None
    found: dict[Place, list[Path]] = {}
    for mask in masks:
        if (image := of_folder.get((mask.split, mask.group))) is None:
            return None
        found.setdefault(image, []).append(mask.path)
    if all(len(paths) == 1 for paths in found.values()):
        return None
    pairs = [Pair(_out_of(image), image.stem, tuple(sorted(paths))) for image, paths in found.items()]
    without = [image.path for image in images if image not in found]
    return Match("the image and all masks of a folder", sorted(pairs, key=lambda pair: pair.name), without)


def _out_of(image: Place) -> Place:
    """The image without the folder that has its name, which is no breed."""
    return image._replace(group=image.group[:-1]) if image.group[-1] == image.stem else image


def roles(places: Sequence[Place]) -> tuple[list[Place], list[Place], str]:
    """Divides files into images and masks, by folders, names or formats; the text is a guess to tell, or empty."""
    masks = [each for each in places if each.role == "mask"]
    if masks:
        named = [each for each in places if each.role == "image"]
        return named or [each for each in places if not each.role], masks, ""
    masks = [each for each in places if _is_mask_name(each.stem)]
    if masks:
        return [each for each in places if each not in set(masks)], masks, ""
    return *_by_format(places), "photographs are JPEG files, masks the others (no name says so)"


def _by_format(places: Sequence[Place]) -> tuple[list[Place], list[Place]]:
    """JPEG files are images, and other files of the same stem are their masks."""
    jpegs = [each for each in places if each.path.suffix.lower() in (".jpg", ".jpeg")]
    stems, images = {each.stem for each in jpegs}, set(jpegs)
    return jpegs, [each for each in places if each not in images and each.stem in stems]


def _is_mask_name(stem: str) -> bool:
    found = [word for word in words(stem) if not word.isdecimal()]
    return bool(found) and not MASK_WORDS.isdisjoint((found[0], found[-1]))


def _rules(images: Sequence[Place], masks: Sequence[Place]) -> list[Rule]:
    """Rules that hold for some of the masks."""
    own = [affix for affix in _image_affixes(images) if any(_middle(each.stem, affix) for each in images)]
    sample = masks[:: max(1, len(masks) // _SAMPLE)]
    found: Counter[tuple[tuple[str, str], tuple[str, str]]] = Counter()
    for affix in own:
        middles = {middle for each in images if (middle := _middle(each.stem, affix))}
        for mask in sample:
            inside = (middle for middle in middles if middle in mask.stem)
            found.update((affix, rest) for middle in inside for rest in _around(mask.stem, middle))
    best = sorted(found, key=lambda each: (-found[each], len("".join(each[0] + each[1]))))[:_RULES]
    return [Rule(level, image, mask) for (image, mask), level in product(best, range(4))]


def _image_affixes(images: Sequence[Place]) -> Iterable[tuple[str, str]]:
    """Prefixes and suffixes that images may have, such as one that all of them share."""
    stems = [each.stem for each in images]
    backward = [stem[::-1] for stem in stems]
    before = stems[0][: shared_start(stems)].rstrip("0123456789")
    after = backward[0][: shared_start(backward)][::-1].lstrip("0123456789")
    short = re.search(r"[_-][^_-]+$", after)  # of _000019_leftImg8bit also _leftImg8bit
    return dict.fromkeys((*_IMAGE_AFFIXES, (before, ""), ("", short[0] if short else after), ("", after)))


def _around(stem: str, middle: str) -> list[tuple[str, str]]:
    """What is before and after `middle` in a stem, where it does not cut a number in two."""
    found = []
    for part in re.finditer(f"(?={re.escape(middle)})", stem):
        before, after = stem[: part.start()], stem[part.start() + len(middle) :]
        cut = (before[-1:].isdecimal() and middle[:1].isdecimal()) or (after[:1].isdecimal() and middle[-1].isdecimal())
        if not cut:
            found.append((before, after))
    return found


def _middle(stem: str, affix: tuple[str, str]) -> str:
    """The stem without prefix and suffix; empty if it has not got them."""
    before, after = affix
    fits = len(stem) > len(before) + len(after) and stem.startswith(before) and stem.endswith(after)
    return stem[len(before) : len(stem) - len(after)] if fits else ""


def _key(each: Place, level: int, middle: str) -> tuple:
    """What is equal for an image and its mask: split, group and name on level 0, less on higher levels."""
    return (each.split if level in (0, 2) else "", each.group if level in (0, 1) else (), middle)


def _index(places: Sequence[Place], level: int, affix: tuple[str, str]) -> dict[tuple, list[Place]]:
    found: dict[tuple, list[Place]] = {}
    for each in places:
        if middle := _middle(each.stem, affix):
            found.setdefault(_key(each, level, middle), []).append(each)
    return found


def _count(rule: Rule, images: Sequence[Place], masks: Sequence[Place]) -> tuple[int, int]:
    """How many pairs a rule makes without ambiguity, and in all."""
    of_images, of_masks = _index(images, rule.level, rule.image), _index(masks, rule.level, rule.mask)
    both = of_images.keys() & of_masks.keys()
    return sum(len(of_images[key]) == 1 == len(of_masks[key]) for key in both), len(both)


def _preference(rule: Rule) -> tuple:
    """Which of the rules that make equally many pairs wins: class numbers, the nearest folders, short affixes."""
    known = set(words(rule.mask[1]))
    return (known.isdisjoint(_UNWANTED), "train" not in known, -rule.level, -len("".join(rule.image + rule.mask)))


def _apply(rule: Rule, images: Sequence[Place], masks: Sequence[Place], guess: str) -> Match:
    of_images, of_masks = _index(images, rule.level, rule.image), _index(masks, rule.level, rule.mask)
    for key in of_images.keys() & of_masks.keys():
        for several in (of_images[key], of_masks[key]):
            if len(several) > 1:
                raise DataError(
                    f"{several[0].path} and {several[1].path} have the same name {key[2]}, so that it is not clear "
                    "which belong together; rename or remove one of them."
                )
    of_masks = {key: found for key, found in of_masks.items() if key in of_images}
    used = {each.path for found in of_masks.values() for each in found}
    rest = [each for each in masks if each.path not in used]
    for key, part in _parts(rule, of_images, rest):
        of_masks.setdefault(key, []).append(part)
        used.add(part.path)
    pairs = [
        Pair(of_images[key][0], key[2], tuple(each.path for each in found)) for key, found in sorted(of_masks.items())
    ]
    paired = {pair.image.path for pair in pairs}
    return Match(
        rule.text(),
        pairs,
        [each.path for each in images if each.path not in paired],
        [each.path for each in masks if each.path not in used],
        guess,
    )


def _parts(rule: Rule, images: dict[tuple, list[Place]], rest: Sequence[Place]) -> list[tuple[tuple, Place]]:
    """Further masks of the images, whose names differ by a number: NAME_mask_1, or NAME-2-mask beside NAME-1-mask."""
    before, after = (re.sub(r"\d+", r"\\d+", re.escape(affix)) for affix in rule.mask)
    if not re.search(r"[^\W\d_]", after):
        return []
    pattern = re.compile(f"{before}(.+?){after}(?:[_-]?\\(?\\d+\\)?)?")
    found = []
    for each in rest:
        fits = pattern.fullmatch(each.stem)
        if fits and (key := _key(each, rule.level, fits[1])) in images:
            found.append((key, each))
    return found
