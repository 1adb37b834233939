"""Findings about masks: as a set, one by one, and against their images."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from petseg.audit.facts import Facts
from petseg.audit.findings import ERROR, NOTE, WARNING, Finding, Item, brief, count, single, verb
from petseg.audit.samples import Sample
from petseg.data.sources import masks
from petseg.runtime.errors import DataError

# Limits were set on 2,813 photographs of Oxford-IIIT Pet, whose masks are good; benchmarks/audit.md has the counts.
SMALL, LARGE = 0.02, 0.97  # share of foreground; 99.8 % of the masks of Oxford-IIIT Pet are between 0.06 and 0.97
SPECKS, HOLES = 3, 8  # per mask; 99.9 % of the masks of Oxford-IIIT Pet have fewer
BAND = 2.5  # times the median width of the set, relative to the image's diagonal, or its inverse
BEST, GAP = 2.5, 1.5  # standard deviations: a shifted mask fits that well, and so much better than without the shift
MIRRORED, MIRROR_GAP = 2.0, 0.5  # the same for the mirrored mask
# More than the first share of the frame is pet, and less than the second share of the image: a pet with a hole.
INVERTED = 0.9, 0.8
ALL_SHIFTED = 0.015  # median shift of all masks, as a share of width or height; 0.000 in Oxford-IIIT Pet
ENOUGH = 20  # masks that say something about a set


def findings(samples: Sequence[Sample], facts: dict[str, Facts]) -> list[Finding]:
    """All findings about the masks of a data set."""
    readable = {name: each for name, each in facts.items() if not each.mask_error}
    found = [*_unusable(facts), *_encodings(samples, readable), *_empty_or_full(readable)]
    drawn = {name: each for name, each in readable.items() if 0 < each.foreground < 1}
    found += [*_inverted(drawn), *_extreme_shares(drawn), *_equal(drawn), *_specks_and_holes(drawn), *_borders(drawn)]
    return found + _misplaced({name: each.fit for name, each in drawn.items() if each.usable and each.fit})


def _unusable(facts: dict[str, Facts]) -> list[Finding]:
    """Masks that cannot be read, and masks of another size than their image."""
    found = []
    if broken := {name: brief(each.mask_error) for name, each in facts.items() if each.mask_error}:
        sentence = f"{count(broken, 'mask')} cannot be used: {masks.EXPECTED}. Correct them, or run `petseg import`."
        found.append(Finding("unusable-mask", ERROR, sentence, single(broken)))
    if misfits := {name: each.misfit for name, each in facts.items() if each.misfit}:
        sentence = (
            f"{count(misfits, 'mask')} {verb(misfits, 'has', 'have')} not the size of the image, even if the image is "
            "rotated; export the masks at the size of the images."
        )
        found.append(Finding("size-mismatch", ERROR, sentence, single(misfits)))
    return found


def _encodings(samples: Sequence[Sample], readable: dict[str, Facts]) -> list[Finding]:
    """Masks of own data whose encoding differs from that of the others."""
    own = [sample for sample in samples if not sample.trimap and sample.name in readable]
    try:
        masks.encoding((sample.mask, frozenset(readable[sample.name].values)) for sample in own)
    except DataError as error:
        name = next((sample.name for sample in own if str(error).startswith(str(sample.mask))), Path(str(error)).stem)
        return [Finding("mixed-masks", ERROR, str(error), (Item((name,)),))]
    return []


def _empty_or_full(readable: dict[str, Facts]) -> list[Finding]:
    """Masks without any pet, and masks that are pet everywhere."""
    empty = [name for name, each in readable.items() if each.foreground == 0]
    full = [name for name, each in readable.items() if each.foreground == 1]
    found = []
    for kind, names, state in (("empty-masks", empty, "hold no pet"), ("full-masks", full, "are pet everywhere")):
        if not names:
            continue
        numbers = {"masks": len(names), "of": len(readable)}
        if len(names) == len(readable):
            sentence = (
                f"All {count(names, 'mask')} {state}, so a network that answers the same everywhere is right "
                "everywhere; check how the masks were exported and which of their values means pet."
            )
            found.append(Finding(f"all-{kind}", ERROR, sentence, single(dict.fromkeys(names, "")), numbers))
            continue
        state = state if len(names) > 1 else state.replace("hold", "holds").replace("are", "is")
        sentence = (
            f"{len(names):,} of {count(readable, 'mask')} {state}, and score Dice 1 if a network predicts just that; "
            "correct them or remove their images from the lists."
        )
        found.append(Finding(kind, WARNING, sentence, single(dict.fromkeys(names, "")), numbers))
    return found


def _inverted(drawn: dict[str, Facts]) -> list[Finding]:
    """Masks whose frame is pet and whose inside is not: pet and background seem to be swapped."""
    frame, inside = INVERTED
    swapped = [name for name, each in drawn.items() if each.frame > frame and each.pet < inside]
    if not swapped:
        return []
    items = single(dict.fromkeys(swapped, ""))
    if len(swapped) > len(drawn) / 2:
        sentence = (
            f"In {len(swapped):,} of {count(drawn, 'mask')} the frame is pet and the inside background, so the values "
            "of pet and background are probably swapped; invert the masks."
        )
        return [Finding("inverted-masks", ERROR, sentence, items, {"masks": len(swapped)})]
    sentence = (
        f"{count(swapped, 'mask')} {verb(swapped, 'has', 'have')} pet at the frame and background inside; look whether "
        "pet and background are swapped."
    )
    return [Finding("inverted-mask", WARNING, sentence, items, {"masks": len(swapped)})]


def _extreme_shares(drawn: dict[str, Facts]) -> list[Finding]:
    """Masks whose share of foreground is unusual."""
    shares = sorted((each.foreground, name) for name, each in drawn.items())
    notes = {name: f"{share:.1%} of the image" for share, name in shares if not SMALL <= share <= LARGE}
    if not notes:
        return []
    sentence = (
        f"{count(notes, 'mask')} {verb(notes, 'covers', 'cover')} less than {SMALL:.0%} or more than {LARGE:.0%} of "
        "the image; look whether they are right."
    )
    return [Finding("extreme-share", NOTE, sentence, single(notes))]


def _equal(drawn: dict[str, Facts]) -> list[Finding]:
    """Masks that are equal although their images are not."""
    names_of: dict[str, list[str]] = defaultdict(list)
    for name, each in drawn.items():
        names_of[each.mask_pixels].append(name)
    groups = [names for names in names_of.values() if len({drawn[name].pixels for name in names}) > 1]
    if not groups:
        return []
    number = sum(map(len, groups))
    items = tuple(Item(tuple(names), f"{len(names)} equal masks") for names in sorted(groups, key=len, reverse=True))
    sentence = (
        f"{count(number, 'mask')} {verb(number, 'is', 'are')} equal to that of another, different image, as after a "
        "wrong export or copy; give each image its own mask."
    )
    severity = ERROR if number > len(drawn) / 2 else WARNING
    return [Finding("equal-masks", severity, sentence, items, {"masks": number, "groups": len(groups)})]


def _specks_and_holes(drawn: dict[str, Facts]) -> list[Finding]:
    """Masks with many small parts or gaps, as thresholds and coarse tools leave them."""
    found = []
    for kind, limit, what in (("specks", SPECKS, "separate specks"), ("holes", HOLES, "small holes")):
        many = sorted(((getattr(each, kind), name) for name, each in drawn.items()), reverse=True)
        notes = {name: f"{number} {kind}" for number, name in many if number >= limit}
        if notes:
            sentence = (
                f"{count(notes, 'mask')} {verb(notes, 'has', 'have')} {limit} or more {what} (each below 0.05 % of the "
                "image); remove them unless they are real."
            )
            found.append(Finding(kind, NOTE, sentence, single(notes)))
    return found


def _borders(drawn: dict[str, Facts]) -> list[Finding]:
    """Trimaps without the border band that the others have, or with one of another width."""
    banded = {name: each.band / float(np.hypot(*_mask_size(each))) for name, each in drawn.items() if each.border}
    if len(banded) <= len(drawn) / 2:
        return []
    found = []
    if missing := [name for name, each in drawn.items() if not each.border]:
        sentence = (
            f"{count(missing, 'trimap')} {verb(missing, 'has', 'have')} no border band (value 3) although the others "
            "have one; annotate them alike, because the band counts as pet."
        )
        found.append(Finding("no-border", WARNING, sentence, single(dict.fromkeys(missing, ""))))
    median = float(np.median(list(banded.values())))
    odd = {name: width / median for name, width in banded.items() if not 1 / BAND <= width / median <= BAND}
    if odd:
        notes = {name: f"{odd[name]:.1f} times the usual width" for name in sorted(odd, key=lambda name: -odd[name])}
        sentence = (
            f"{count(odd, 'trimap')} {verb(odd, 'has', 'have')} a border band of unusual width (median: {median:.1%} "
            "of the image's diagonal); look whether value 3 means the border there."
        )
        found.append(
            Finding("odd-border", NOTE, sentence, single(notes), {"median_share_of_diagonal": round(median, 4)})
        )
    return found


def _mask_size(facts: Facts) -> tuple[int, int]:
    """Width and height of the image, which a usable mask shares; 1 x 1 if the image cannot be read."""
    return (facts.width, facts.height) if facts.width else (1, 1)


def _misplaced(fits: dict[str, dict[str, float]]) -> list[Finding]:
    """Masks that would fit their image better if they were shifted or mirrored: all of them, or single ones."""
    clear = [fit for fit in fits.values() if fit["best"] > BEST]
    right, down = (float(np.median([fit[way] for fit in clear] or [0])) for way in ("right", "down"))
    mirrored = {name: fit for name, fit in fits.items() if _is_mirrored(fit)}
    if len(fits) >= ENOUGH and len(mirrored) > len(fits) / 2:
        sentence = "Most masks fit their images only when mirrored; mirror the masks, or export them again."
        return [
            Finding("mirrored-masks", ERROR, sentence, single(dict.fromkeys(mirrored, "")), {"masks": len(mirrored)})
        ]
    if len(clear) >= ENOUGH and max(abs(right), abs(down)) >= ALL_SHIFTED:
        sentence = (
            f"All masks are shifted against their images: edges agree best if the masks move {_way(right, down)}; "
            "export them again."
        )
        numbers = {"right": round(right, 3), "down": round(down, 3)}
        return [Finding("shifted-masks", ERROR, sentence, single(dict.fromkeys(fits, "")), numbers)]
    found = []
    if mirrored:
        sentence = (
            f"{count(mirrored, 'mask')} {verb(mirrored, 'fits its image', 'fit their images')} better when mirrored; "
            "look whether image or mask was flipped."
        )
        found.append(Finding("mirrored-mask", WARNING, sentence, single(dict.fromkeys(mirrored, ""))))
    shifted = {
        name: fit for name, fit in fits.items() if name not in mirrored and _gap(fit) > GAP and fit["best"] > BEST
    }
    if shifted:
        order = sorted(shifted, key=lambda name: -_gap(shifted[name]))
        notes = {name: f"better {_way(shifted[name]['right'], shifted[name]['down'])}" for name in order}
        sentence = (
            f"{count(shifted, 'mask')} {verb(shifted, 'fits its image', 'fit their images')} better at another place; "
            "look whether they are shifted. The check follows edges and errs in 1 of 300 good masks."
        )
        found.append(Finding("shifted-mask", WARNING, sentence, single(notes)))
    return found


def _gap(fit: dict[str, float]) -> float:
    return fit["best"] - fit["here"]


def _is_mirrored(fit: dict[str, float]) -> bool:
    return fit["mirrored"] > MIRRORED and fit["mirrored"] - fit["here"] > MIRROR_GAP


def _way(right: float, down: float) -> str:
    """A shift in words: "6 % of the width to the left and 8 % of the height up"."""
    parts = []
    if round(abs(right), 2):
        parts.append(f"{abs(right):.0%} of the width to the {'right' if right > 0 else 'left'}".replace("%", " %"))
    if round(abs(down), 2):
        parts.append(f"{abs(down):.0%} of the height {'down' if down > 0 else 'up'}".replace("%", " %"))
    return " and ".join(parts)
