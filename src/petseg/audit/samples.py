"""Which images and masks a folder holds, and to which split each belongs."""

from dataclasses import dataclass
from pathlib import Path

from petseg.audit.findings import ERROR, Finding, count, single, verb
from petseg.data import layout
from petseg.data.sources.folder import SUFFIXES, TEST_EVERY
from petseg.runtime.errors import DataError

TRAINVAL, TEST = "trainval", "test"  # the splits of a folder that was not split yet


@dataclass(frozen=True)
class Sample:
    """An image with its mask.

    Attributes:
        name: without folder and suffix.
        split: train, valid, trainval or test.
        breed: the name without its number.
        trimap: whether the mask must be a trimap (official layout), or may be in any encoding (own data).
    """

    name: str
    image: Path
    mask: Path
    split: str
    breed: str
    trimap: bool


@dataclass(frozen=True)
class DataSet:
    """The samples of a folder in the order of their names, and what is missing there.

    Attributes:
        own: images/ and masks/ of the user, not the official layout.
        findings: files that are listed and missing.
    """

    folder: Path
    own: bool
    samples: tuple[Sample, ...]
    findings: tuple[Finding, ...]

    @property
    def splits(self) -> dict[str, list[Sample]]:
        """The samples of each split, in the order train, valid, trainval, test."""
        names = ("train", "valid", TRAINVAL, TEST)
        found = {name: [sample for sample in self.samples if sample.split == name] for name in names}
        return {name: samples for name, samples in found.items() if samples}


def find(folder: Path | None) -> DataSet:
    """Finds the images and masks of a data set.

    Args:
        folder: the official layout (images/ and annotations/), or own data (images/ and masks/); None for data/raw with
            the splits of data/splits.csv.

    Raises:
        DataError: the folder is missing, has neither layout, or holds no pair; a list is missing or malformed.
    """
    raw = folder or layout.RAW
    if not raw.is_dir():
        cure = (
            "give a folder that exists" if folder else "run `dvc repro fetch_data`, or name one: `petseg audit FOLDER`"
        )
        raise DataError(f"The folder {raw} does not exist; {cure}.")
    if (raw / "annotations" / "trimaps").is_dir():
        samples = _official(raw, use_table=folder is None)
        own = False
    elif (raw / "images").is_dir() and (raw / "masks").is_dir():
        samples, own = _own(raw), True
    elif (raw / "images.tar.gz").is_file() and (raw / "annotations.tar.gz").is_file():
        raise DataError(
            f"{raw} holds packed archives; unpack both into one folder, as with `tar xzf {raw / 'images.tar.gz'}`, and "
            "audit that folder."
        )
    else:
        raise DataError(
            f"{raw} is no data set; it must hold images/ and masks/, or images/ and annotations/ as Oxford-IIIT Pet."
        )
    samples.sort(key=lambda sample: sample.name)
    paired = tuple(sample for sample in samples if sample.image.is_file() and sample.mask.is_file())
    if not paired:
        raise DataError(f"{raw} holds no image that has a mask of the same name; add some, or run `petseg import`.")
    return DataSet(raw, own, paired, tuple(_missing(samples)))


def _official(raw: Path, use_table: bool) -> list[Sample]:
    """The listed images of the official layout; if the table is used, the images and splits of data/splits.csv."""
    from petseg.data import splits  # imports pandas, which worker processes do not need

    trainval, test = layout.read_lists(raw)
    listed = [(entry, TRAINVAL) for entry in trainval] + [(entry, TEST) for entry in test]
    if use_table and splits.TABLE.is_file():
        rows = splits.read_table()
        split_of = dict(zip(rows["name"], rows["split"], strict=True))
        listed = [(entry, split_of[entry.name]) for entry, _ in listed if entry.name in split_of]
    return [
        Sample(
            name=entry.name,
            image=layout.image_path(raw, entry.name),
            mask=layout.trimap_path(raw, entry.name),
            split=split,
            breed=entry.breed,
            trimap=True,
        )
        for entry, split in listed
    ]


def _own(folder: Path) -> list[Sample]:
    """The images of the user's own data, divided as the source `folder` will divide them."""
    image_of, mask_of = (_by_stem(folder / name) for name in ("images", "masks"))
    names = sorted(image_of.keys() | mask_of.keys())
    tested, trained = (_listed(folder / name) for name in reversed(layout.LISTS))
    if tested is None:
        tested = set(names[::TEST_EVERY]) if trained is None else set(names) - trained
    used = names if trained is None else [name for name in names if name in tested | trained]
    missing = folder / "missing"
    return [
        Sample(
            name=name,
            image=image_of.get(name, missing),
            mask=mask_of.get(name, missing),
            split=TEST if name in tested else TRAINVAL,
            breed=_breed(name),
            trimap=False,
        )
        for name in used
    ]


def _breed(name: str) -> str:
    """The name without its number, as in the official lists."""
    stem, _, number = name.rpartition("_")
    return stem if stem and number.isdecimal() else layout.UNKNOWN_BREED


def _by_stem(folder: Path) -> dict[str, Path]:
    """The image files of a folder by stem; hidden files and other suffixes are ignored."""
    files = (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))
    return {path.stem: path for path in files if path.suffix.lower() in SUFFIXES}


def _listed(path: Path) -> set[str] | None:
    """The names in one of the user's lists, without suffixes; None if there is no such list."""
    if not path.exists():
        return None
    names = {line.split()[0] for _, line in layout.list_lines(path)}
    return {str(Path(name).with_suffix("")) if Path(name).suffix.lower() in SUFFIXES else name for name in names}


def _missing(samples: list[Sample]) -> list[Finding]:
    """Findings about samples without image or mask."""
    findings = []
    for kind, other in (("image", "mask"), ("mask", "image")):
        names = [sample.name for sample in samples if not getattr(sample, kind).is_file()]
        if names:
            sentence = f"{count(names, other)} {verb(names, 'has', 'have')} no {kind} of the same name"
            cure = f"add the {kind}s or remove the {other}s; `petseg import` pairs files with different names."
            findings.append(Finding(f"no-{kind}", ERROR, f"{sentence}; {cure}", single(dict.fromkeys(names, ""))))
    return findings
