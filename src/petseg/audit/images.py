"""Findings about images: files that cannot be used, and images unlike the others."""

from collections.abc import Callable, Sequence

from petseg.audit.facts import Facts
from petseg.audit.findings import ERROR, NOTE, WARNING, Finding, brief, count, single, verb
from petseg.audit.samples import Sample

# Limits lie just beyond the extremes of 2,813 photographs of Oxford-IIIT Pet, but for TINY, HUGE and ASPECT.
TINY = 96  # pixels of the shorter side; below, enlarging to the size of the networks only blurs
HUGE = 50e6  # pixels; several times what phones make, and seconds per image
DARK, BRIGHT = 0.06, 0.93  # mean luminance; Oxford-IIIT Pet: 0.065 to 0.916
FLAT = 0.04  # standard deviation of the luminance; Oxford-IIIT Pet: 0.065
BLURRED = 0.009  # sharpness, see Facts; 1 of 2,813 photographs, and that one is blurred
ASPECT = 3.0  # longer side over shorter side; resized to a square, details shrink by that factor
RARE = 0.1  # share of gray images up to which they are the exception
USED = 14  # of 16 bits; what cameras and microscopes with 10, 12 and 14 bits leave
TURNED = 0.5  # standard deviations: how much better the mask must fit the rotated image

_Test = Callable[[Facts], str]  # what is unusual about an image; empty if nothing is


def findings(samples: Sequence[Sample], facts: dict[str, Facts]) -> list[Finding]:
    """All findings about the images of a data set."""
    found = _unreadable(facts)
    readable = {name: each for name, each in facts.items() if not each.image_error}
    for kind, severity, test, words in _TESTS:
        if notes := {name: note for name, each in readable.items() if (note := test(each))}:
            found.append(Finding(kind, severity, f"{count(notes, 'image')} {words(notes)}", single(notes)))
    return found + _gray(readable)


def _unreadable(facts: dict[str, Facts]) -> list[Finding]:
    """Finds truncated images, and images that cannot be decoded at all."""
    broken = {name: brief(each.image_error) for name, each in facts.items() if each.image_error}
    cut = {name: error for name, error in broken.items() if "truncated" in error}
    other = {name: error for name, error in broken.items() if name not in cut}
    found = []
    if cut:
        files = f"{count(cut, 'image file')} {verb(cut, 'is', 'are')}"
        sentence = f"{files} cut off; copy or download {verb(cut, 'it', 'them')} again."
        found.append(Finding("truncated-image", ERROR, sentence, single(cut)))
    if other:
        sentence = f"{count(other, 'image')} cannot be used; replace or remove {verb(other, 'it', 'them')}."
        found.append(Finding("unusable-image", ERROR, sentence, single(other)))
    return found


def _gray(readable: dict[str, Facts]) -> list[Finding]:
    """Gray images, if they are rare."""
    gray = [name for name, each in readable.items() if each.gray]
    if not 0 < len(gray) <= RARE * len(readable):
        return []
    sentence = (
        f"{count(gray, 'image')} {verb(gray, 'has', 'have')} no color although the others have; keep them if a network "
        "will meet such images."
    )
    return [Finding("gray-image", NOTE, sentence, single(dict.fromkeys(gray, "")))]


def _size(facts: Facts) -> str:
    return f"{facts.width} x {facts.height}"


def _turned(facts: Facts) -> str:
    if facts.fit is None or facts.upright_fit is None:
        return ""
    better = facts.upright_fit["here"] - facts.fit["here"]
    return f"EXIF orientation {facts.orientation}" if better > TURNED else ""


_TESTS: tuple[tuple[str, str, _Test, Callable[[dict], str]], ...] = (
    (
        "exif-rotation",
        WARNING,
        _turned,
        lambda found: (
            f"{verb(found, 'has a mask that fits', 'have masks that fit')} only after the rotation that EXIF asks for, "
            "which is not applied where the sizes match without it; save them upright, without EXIF orientation."
        ),
    ),
    (
        "several-frames",
        WARNING,
        lambda each: f"{each.frames} frames" if each.frames > 1 else "",
        lambda found: (
            f"{verb(found, 'is an animation or a stack', 'are animations or stacks')} of pages, of which only the "
            "first is used; save each page as a file if all are wanted."
        ),
    ),
    (
        "unused-bits",
        WARNING,
        lambda each: f"{each.bits} of 16 bits" if 0 < each.bits <= USED else "",
        lambda found: (
            f"{verb(found, 'uses', 'use')} only the lower of their 16 bits and {verb(found, 'is', 'are')} read as "
            "almost black; run `petseg import`, which stretches them."
        ),
    ),
    (
        "tiny-image",
        NOTE,
        lambda each: _size(each) if min(each.width, each.height) < TINY else "",
        lambda found: (
            f"{verb(found, 'is', 'are')} smaller than {TINY} pixels on a side; use larger ones if they exist."
        ),
    ),
    (
        "huge-image",
        NOTE,
        lambda each: _size(each) if each.width * each.height > HUGE else "",
        lambda found: (
            f"{verb(found, 'has', 'have')} more than {HUGE / 1e6:.0f} megapixels, which slows down reading; reduce "
            "them, because networks see a few hundred pixels per side."
        ),
    ),
    (
        "extreme-aspect",
        NOTE,
        lambda each: _size(each) if max(each.width, each.height) > ASPECT * min(each.width, each.height) else "",
        lambda found: (
            f"{verb(found, 'is', 'are')} more than {ASPECT:.0f} times as long as wide, and will be squeezed to a "
            "square; crop them around the pet."
        ),
    ),
    (
        "dark-image",
        NOTE,
        lambda each: f"mean {each.light:.0%} of white" if each.light < DARK else "",
        lambda found: f"{verb(found, 'is', 'are')} very dark; look whether anything can be seen.",
    ),
    (
        "bright-image",
        NOTE,
        lambda each: f"mean {each.light:.0%} of white" if each.light > BRIGHT else "",
        lambda found: f"{verb(found, 'is', 'are')} very bright; look whether anything can be seen.",
    ),
    (
        "flat-image",
        NOTE,
        lambda each: "almost one color" if each.contrast < FLAT and DARK <= each.light <= BRIGHT else "",
        lambda found: f"{verb(found, 'has', 'have')} almost no contrast; look whether anything can be seen.",
    ),
    (
        "blurred-image",
        NOTE,
        lambda each: "no sharp edge" if each.sharpness < BLURRED and each.contrast >= FLAT else "",
        lambda found: f"{verb(found, 'is', 'are')} blurred; an outline cannot be exact there.",
    ),
    (
        "wrong-suffix",
        NOTE,
        lambda each: each.format if each.wrong_suffix else "",
        lambda found: (
            f"{verb(found, 'has a suffix', 'have suffixes')} of another format than the content; petseg goes by the "
            "content, other programs may not."
        ),
    ),
)
