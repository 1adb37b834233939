"""What a comparison says: sentences and a table for a terminal, CSV and JSON."""

import csv
import io
import json
import math
import textwrap
from collections.abc import Sequence

from petseg.config.networks import NETWORKS
from petseg.evaluation.paired import Difference
from petseg.experiments.compare import SMALL, Comparison, Group

WIDTH = 80
COLUMNS = ("network", "kind", "group", "images", "difference", "low", "high", "p", "p_holm", "better")


def number(p: float) -> str:
    """A p-value: 0.28, 0.012, < 0.001; – if there is none."""
    return "–" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.2g}"


def interval(difference: Difference) -> str:
    """The difference and its interval: +0.0067 [+0.0041, +0.0093]; without one for few images."""
    if math.isnan(difference.low):
        return f"{difference.mean:+.4f}"
    return f"{difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"


def title(comparison: Comparison) -> str:
    """The network and a colon; empty if two networks are compared with each other."""
    same = comparison.first.network == comparison.second.network
    return f"{NETWORKS[comparison.first.network].label}: " if same else ""


def verdict(comparison: Comparison) -> str:
    """One sentence: which side is better, by how much, and on how many of the images."""
    whole, first, second = comparison.whole, comparison.first.name, comparison.second.name
    if math.isnan(whole.low):
        few = f"{whole.images} images are too few for a verdict"
        return f"{title(comparison)}{few}; the mean difference is {whole.mean:+.4f}."
    if whole.low == whole.high == 0:
        return f"{title(comparison)}{first} and {second} have equal scores on all {whole.images} images."
    if not whole.is_clear:
        share = f"{first} is better on {whole.better:.0%} of {whole.images} images"
        return f"{title(comparison)}no difference shown between {first} and {second}: {interval(whole)}; {share}."
    if whole.mean > 0:
        better, worse, low, high, share = first, second, whole.low, whole.high, whole.better
    else:
        better, worse, low, high, share = second, first, -whole.high, -whole.low, 1 - whole.better
    by = f"{abs(whole.mean):.4f} [{low:.4f}, {high:.4f}]"
    return (
        f"{title(comparison)}{better} is better than {worse} by {by}; better on {share:.0%} of {whole.images} images."
    )


def limits(comparison: Comparison, several: bool) -> list[str]:
    """Sentences about the p-value, what the seeds cover, and what can be detected.

    Args:
        several: whether other networks are compared, too.
    """
    one, other = comparison.seeds
    lines = []
    if not math.isnan(comparison.whole.p):
        corrected = f"; corrected for the number of networks {number(comparison.p_holm)}" if several else ""
        lines.append(f"P-value {number(comparison.whole.p)}{corrected}.")
    if one == other == 1:
        lines.append("Seeds are not considered: one each.")
    elif min(one, other) < 3:
        lines.append(f"Seeds: {one} and {other}, which are few; three on each side make the interval reliable.")
    else:
        lines.append(f"Seeds: {one} and {other}; the interval covers images and seeds.")
    if comparison.detectable > 0:
        lines.append(f"A true difference of {comparison.detectable:.4f} would be found with a probability of 80 %.")
    if comparison.seeds_needed:
        lines.append(f"A difference of {SMALL:g} needs {comparison.seeds_needed} seeds on each side.")
    elif comparison.seeds != (1, 1):
        lines.append(f"A difference of {SMALL:g} cannot be found on these images, whatever the number of seeds.")
    return lines


def differences(differing: Sequence[str]) -> str:
    """What differs between the sides, as a sentence."""
    return f"They differ {'only ' if len(differing) == 1 else ''}in {', '.join(differing)}."


def text(comparisons: Sequence[Comparison], differing: Sequence[str]) -> str:
    """Everything for a terminal of WIDTH columns; the verdicts come first."""
    parts = [[verdict(each) for each in comparisons]]
    if differing:
        parts.append([differences(differing)])
    parts += [[title(each) + " ".join(limits(each, len(comparisons) > 1))] for each in comparisons]
    wrapped = ["\n".join(textwrap.fill(line, WIDTH) for line in lines) for lines in parts]
    return "\n\n".join([*wrapped, *("\n".join(_table(each)) for each in comparisons if each.groups)])


def _table(comparison: Comparison) -> list[str]:
    label = title(comparison).removesuffix(": ")
    head = f"{label:<26} {'images':>6}  {comparison.score + ', difference':<29} {'p (Holm)':>9}"
    return [head, *(_row(group) for group in comparison.groups)]


def _row(group: Group) -> str:
    name = group.name.replace("_", " ")[:26]
    found = group.difference
    return f"{name:<26} {found.images:>6}  {interval(found):<29} {number(group.p_holm):>9}"


def rows(comparisons: Sequence[Comparison]) -> list[dict[str, object]]:
    """One row for all images and one for each group, of each comparison, with the keys COLUMNS."""
    found = []
    for each in comparisons:
        label = each.first.network if each.first.network == each.second.network else ""
        for kind, name, difference, p in [("all", "all", each.whole, each.p_holm), *each.groups]:
            values = (*difference[:4], p, difference.better)
            numbers = [None if math.isnan(value) else round(value, 6) for value in values]
            found.append(dict(zip(COLUMNS, (label, kind, name, difference.images, *numbers), strict=True)))
    return found


def as_csv(comparisons: Sequence[Comparison]) -> str:
    """The rows as CSV."""
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(row.values() for row in rows(comparisons))
    return written.getvalue().rstrip("\n")


def as_json(comparisons: Sequence[Comparison], differing: Sequence[str]) -> str:
    """Everything as JSON."""
    found = {
        "score": comparisons[0].score,
        "first": comparisons[0].first.name,
        "second": comparisons[0].second.name,
        "differ_in": list(differing),
        "comparisons": [
            {
                "network": each.first.network if each.first.network == each.second.network else None,
                "verdict": verdict(each),
                "seeds": list(each.seeds),
                "detectable": None if math.isnan(each.detectable) else round(each.detectable, 6),
                "seeds_needed": each.seeds_needed,
                "groups": rows([each]),
            }
            for each in comparisons
        ],
    }
    return json.dumps(found, indent=2)
