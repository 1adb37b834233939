"""The 37 breeds of Oxford-IIIT Pet, each with its characteristic proportions and coats."""

from dataclasses import dataclass
from typing import Any

Color = tuple[float, float, float]  # red, green, blue, 0 to 1

BLACK, GRAY, BLUE, SILVER = (0.12, 0.11, 0.11), (0.47, 0.45, 0.44), (0.44, 0.46, 0.50), (0.68, 0.67, 0.66)
WHITE, CREAM, FAWN, GOLD = (0.97, 0.95, 0.92), (0.90, 0.82, 0.68), (0.78, 0.64, 0.48), (0.78, 0.58, 0.36)
RED, BROWN, CHOCOLATE, PINK = (0.66, 0.42, 0.25), (0.50, 0.34, 0.22), (0.30, 0.19, 0.13), (0.86, 0.68, 0.62)
WHEAT, RUST = (0.85, 0.72, 0.52), (0.58, 0.30, 0.14)


@dataclass(frozen=True)
class Coat:
    """Colors and pattern of a fur. `pattern` is one of coat.PATTERNS; `second` is the color it adds to `base`."""

    pattern: str
    base: Color
    second: Color


@dataclass(frozen=True)
class Breed:
    """How a breed looks. Lengths are in units of a medium-sized trunk.

    Attributes:
        name: the official name, with a capital for cats.
        coats: the coats of the breed; one is chosen at random.
        ears: prick, button, floppy or long.
        tail: slim, bushy, plume, curl or stub.
        fur: length of the hair, 0 (none) to 1.
        length: of the trunk.
        girth: radius of the trunk.
        legs: height of the elbow above the ground.
        head: radius of the skull.
        muzzle: its length in skull radii.
        jaw: its width relative to a common one.
        ear_size: relative to a common one.
        eyes: possible colors of the iris.
    """

    name: str
    coats: tuple[Coat, ...]
    ears: str
    tail: str
    fur: float
    length: float = 1.0
    girth: float = 0.27
    legs: float = 0.45
    head: float = 0.27
    muzzle: float = 0.8
    jaw: float = 1.0
    ear_size: float = 1.0
    eyes: tuple[Color, ...] = ((0.30, 0.17, 0.08), (0.20, 0.11, 0.06))

    @property
    def is_cat(self) -> bool:
        """Whether it is a cat: the official names of cats start with a capital letter."""
        return self.name[0].isupper()


_GREEN, _AMBER, _SKY = (0.55, 0.68, 0.28), (0.85, 0.60, 0.15), (0.35, 0.62, 0.88)


def _cat(name: str, *coats: Coat, fur: float = 0.35, tail: str = "slim", **looks: Any) -> Breed:
    looks = {"ears": "prick", "girth": 0.25, "legs": 0.36, "head": 0.275, "muzzle": 0.3, "length": 0.95} | looks
    looks = {"eyes": (_GREEN, _AMBER)} | looks
    return Breed(name, coats, fur=fur, tail=tail, **looks)


def _dog(name: str, *coats: Coat, ears: str, tail: str, fur: float, **looks: Any) -> Breed:
    return Breed(name, coats, ears, tail, fur, **looks)


CATS = (
    _cat("Abyssinian", Coat("ticked", RED, CHOCOLATE), Coat("ticked", FAWN, BROWN), ear_size=1.2, girth=0.22),
    _cat("Bengal", Coat("rosettes", GOLD, CHOCOLATE), Coat("rosettes", WHEAT, CHOCOLATE)),
    _cat("Birman", Coat("points", CREAM, CHOCOLATE), Coat("points", WHITE, BLUE), fur=0.8, tail="bushy", eyes=(_SKY,)),
    _cat("Bombay", Coat("solid", BLACK, BLACK), eyes=(_AMBER, _GREEN)),
    _cat("British_Shorthair", Coat("solid", BLUE, SILVER), girth=0.30, head=0.31, ear_size=0.8, eyes=(_AMBER,)),
    _cat("Egyptian_Mau", Coat("spots", SILVER, BLACK), Coat("spots", WHEAT, CHOCOLATE), girth=0.22, eyes=(_GREEN,)),
    _cat("Maine_Coon", Coat("tabby", BROWN, BLACK), Coat("tabby", RED, RUST), fur=1.0, tail="bushy", ear_size=1.2),
    _cat("Persian", Coat("solid", WHITE, CREAM), Coat("solid", GOLD, CREAM), Coat("bicolor", GRAY, WHITE), fur=1.0,
         tail="bushy", head=0.32, muzzle=0.12, ear_size=0.65, girth=0.29, legs=0.28),
    _cat("Ragdoll", Coat("points", CREAM, BROWN), Coat("bicolor", FAWN, WHITE), fur=0.8, tail="bushy", eyes=(_SKY,)),
    _cat("Russian_Blue", Coat("solid", BLUE, SILVER), girth=0.23, ear_size=1.1, eyes=(_GREEN,)),
    _cat("Siamese", Coat("points", CREAM, CHOCOLATE), Coat("points", WHEAT, BLACK), girth=0.21, ear_size=1.3,
         head=0.25, muzzle=0.45, eyes=(_SKY,)),
    _cat("Sphynx", Coat("skin", PINK, (0.70, 0.50, 0.46)), Coat("skin", (0.52, 0.44, 0.44), PINK), fur=0.0,
         ear_size=1.5, girth=0.22, eyes=(_GREEN, _SKY)),
)  # fmt: skip

DOGS = (
    _dog("american_bulldog", Coat("patches", WHITE, BROWN), Coat("patches", WHITE, RED), ears="button", tail="slim",
         fur=0.15, girth=0.31, head=0.29, jaw=1.25, muzzle=0.65),
    _dog("american_pit_bull_terrier", Coat("bicolor", RED, WHITE), Coat("bicolor", BLUE, WHITE),
         Coat("bicolor", BLACK, WHITE), ears="button", tail="slim", fur=0.1, girth=0.27, jaw=1.15),
    _dog("basset_hound", Coat("saddle", RED, BLACK), Coat("patches", WHITE, RED), ears="long", tail="slim", fur=0.15,
         legs=0.2, length=1.25, muzzle=1.1, jaw=1.1, ear_size=1.25),
    _dog("beagle", Coat("saddle", RED, BLACK), Coat("saddle", GOLD, BLACK), ears="long", tail="slim", fur=0.15,
         legs=0.4),
    _dog("boxer", Coat("mask", RED, BLACK), Coat("brindle", BROWN, BLACK), ears="floppy", tail="stub", fur=0.1,
         legs=0.55, muzzle=0.55, jaw=1.3, ear_size=0.9),
    _dog("chihuahua", Coat("solid", FAWN, WHITE), Coat("tan", BLACK, GOLD), Coat("bicolor", GOLD, WHITE), ears="prick",
         tail="slim", fur=0.25, head=0.31, girth=0.23, legs=0.36, length=0.8, muzzle=0.5, jaw=0.75, ear_size=1.35),
    _dog("english_cocker_spaniel", Coat("solid", RED, GOLD), Coat("solid", BLACK, BLACK), Coat("roan", SILVER, BLACK),
         ears="long", tail="stub", fur=0.7, ear_size=1.2, muzzle=0.9),
    _dog("english_setter", Coat("roan", WHITE, BLACK), Coat("roan", WHITE, RED), ears="long", tail="plume", fur=0.6,
         legs=0.55, muzzle=1.15),
    _dog("german_shorthaired", Coat("roan", SILVER, CHOCOLATE), Coat("solid", CHOCOLATE, CHOCOLATE), ears="floppy",
         tail="stub", fur=0.1, legs=0.58, muzzle=1.15, ear_size=1.2),
    _dog("great_pyrenees", Coat("solid", WHITE, CREAM), ears="floppy", tail="plume", fur=1.0, girth=0.32, legs=0.5,
         head=0.29, muzzle=0.9),
    _dog("havanese", Coat("bicolor", GRAY, WHITE), Coat("solid", CREAM, WHITE), Coat("bicolor", BLACK, WHITE),
         ears="long", tail="plume", fur=1.0, legs=0.28, length=0.85, muzzle=0.55, head=0.29),
    _dog("japanese_chin", Coat("patches", WHITE, BLACK), Coat("patches", WHITE, RED), ears="long", tail="plume",
         fur=0.9, legs=0.28, length=0.8, muzzle=0.2, head=0.29, jaw=0.9),
    _dog("keeshond", Coat("shaded", SILVER, BLACK), ears="prick", tail="curl", fur=1.0, girth=0.30, ear_size=0.75,
         length=0.85),
    _dog("leonberger", Coat("mask", GOLD, BLACK), Coat("mask", RED, BLACK), ears="floppy", tail="plume", fur=0.95,
         girth=0.31, legs=0.5, muzzle=0.95),
    _dog("miniature_pinscher", Coat("tan", BLACK, RUST), Coat("solid", RUST, RUST), ears="prick", tail="stub", fur=0.05,
         girth=0.22, legs=0.5, length=0.85, jaw=0.8, ear_size=1.15, head=0.25),
    _dog("newfoundland", Coat("solid", BLACK, BLACK), Coat("solid", CHOCOLATE, CHOCOLATE), ears="floppy", tail="plume",
         fur=1.0, girth=0.33, head=0.30, jaw=1.15),
    _dog("pomeranian", Coat("solid", GOLD, CREAM), Coat("solid", CREAM, WHITE), Coat("solid", RED, GOLD), ears="prick",
         tail="curl", fur=1.0, girth=0.31, legs=0.24, length=0.7, muzzle=0.5, jaw=0.75, ear_size=0.6, head=0.29),
    _dog("pug", Coat("mask", WHEAT, BLACK), Coat("mask", FAWN, BLACK), Coat("solid", BLACK, BLACK), ears="button",
         tail="curl", fur=0.1, girth=0.30, legs=0.28, length=0.8, muzzle=0.25, jaw=1.25, head=0.31, ear_size=0.8),
    _dog("saint_bernard", Coat("patches", WHITE, RUST), Coat("saddle", RUST, RUST), ears="floppy", tail="plume",
         fur=0.7, girth=0.34, legs=0.48, head=0.31, jaw=1.25),
    _dog("samoyed", Coat("solid", WHITE, WHITE), Coat("solid", CREAM, WHITE), ears="prick", tail="curl", fur=1.0,
         girth=0.31, ear_size=0.75),
    _dog("scottish_terrier", Coat("solid", BLACK, BLACK), Coat("solid", WHEAT, CREAM), Coat("brindle", GRAY, BLACK),
         ears="prick", tail="slim", fur=0.9, legs=0.2, muzzle=1.05, ear_size=0.8, jaw=1.1),
    _dog("shiba_inu", Coat("urajiro", RED, CREAM), Coat("urajiro", GOLD, WHITE), Coat("tan", BLACK, CREAM),
         ears="prick", tail="curl", fur=0.45, ear_size=0.8),
    _dog("staffordshire_bull_terrier", Coat("bicolor", BLUE, WHITE), Coat("brindle", BROWN, BLACK),
         Coat("solid", BLACK, WHITE), ears="button", tail="slim", fur=0.1, girth=0.31, legs=0.38, head=0.29, jaw=1.25),
    _dog("wheaten_terrier", Coat("solid", WHEAT, GOLD), Coat("solid", CREAM, WHEAT), ears="button", tail="plume",
         fur=0.9),
    _dog("yorkshire_terrier", Coat("tan", BLUE, GOLD), Coat("tan", GRAY, FAWN), ears="prick", tail="plume", fur=0.9,
         legs=0.24, length=0.8, muzzle=0.5, ear_size=0.75, jaw=0.8),
)  # fmt: skip

BREEDS = CATS + DOGS
