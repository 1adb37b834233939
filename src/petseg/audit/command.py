"""What `petseg audit` does: scans a data set, prints a table, and writes a page and JSON."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from petseg import __version__
from petseg.audit import cache, duplicates, images, masks, page, samples, scan, split
from petseg.audit.duplicates import Pair
from petseg.audit.facts import Facts
from petseg.audit.findings import ERROR, SEVERITIES, Finding, Item, count
from petseg.audit.samples import DataSet
from petseg.runtime import files, machine

PAGE = Path("report/audit.html")  # in .dvcignore, so that it does not change the output of the stage `report`
NAMES = 6  # images that are named on the console for each finding
WIDTH = 110  # columns


@dataclass(frozen=True)
class Audit:
    """A data set and what was found: findings by severity, duplicates, and the facts of each image by name."""

    data: DataSet
    findings: tuple[Finding, ...]
    pairs: tuple[Pair, ...]
    facts: dict[str, Facts]
    measured: int

    @property
    def failed(self) -> bool:
        """Whether there is an error among the findings."""
        return any(finding.severity == ERROR for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """The audit as JSON values."""
        return {
            "petseg": __version__,
            "folder": str(self.data.folder),
            "images": len(self.data.samples),
            "splits": {name: len(listed) for name, listed in self.data.splits.items()},
            "findings": [finding.as_json() for finding in self.findings],
            "duplicates": [asdict(pair) for pair in self.pairs],
        }


def audit(folder: Path | None, workers: int) -> Audit:
    """Audits a data set; see `samples.find` for the folder and its errors."""
    data = samples.find(folder)
    with cache.opened() as known:
        scanned = scan.scan(data.samples, known, workers)
        pairs = duplicates.find(data.samples, scanned, known, workers)
    found = [
        *data.findings,
        *masks.findings(data.samples, scanned.facts),
        *duplicates.findings(data.samples, pairs),
        *images.findings(data.samples, scanned.facts),
        *split.findings(data, scanned.facts),
    ]
    found.sort(key=lambda finding: list(SEVERITIES).index(finding.severity))
    return Audit(data, tuple(found), tuple(pairs), scanned.facts, scanned.measured)


def run(folder: Path | None, json_file: Path | None = None, page_file: Path | None = None) -> bool:
    """Audits a data set, prints what was found, and writes the page (by default PAGE) and, if asked for, JSON.

    Returns:
        Whether no finding is an error.
    """
    page_file = page_file or PAGE
    result = audit(folder, machine.workers())
    print(table(result))
    files.write_text(page_file, page.render(result.data, result.findings, result.facts))
    if json_file is not None:
        files.write_json(json_file, result.as_json())
    print("\nwritten: " + ", ".join(map(str, filter(None, (page_file, json_file)))))
    return not result.failed


def table(result: Audit) -> str:
    """The findings as text: severity, kind and number of images, then the sentence and some names."""
    listed = ", ".join(f"{len(each):,} {name}" for name, each in result.data.splits.items())
    lines = [f"{result.data.folder}: {count(result.data.samples, 'image')} ({listed})"]
    for finding in result.findings:
        number = f"  ({count(finding.images, 'image')})" if finding.items else ""
        lines += ["", f"{finding.severity:8} {finding.kind}{number}"]
        lines += textwrap.wrap(finding.sentence, WIDTH, initial_indent=" " * 9, subsequent_indent=" " * 9)
        lines += _named(finding, {sample.name: sample.split for sample in result.data.samples})
    lines += ["", _summary(result.findings)]
    return "\n".join(lines)


def _named(finding: Finding, split_of: dict[str, str]) -> list[str]:
    """The first images of a finding: a line for each that has a note or company, otherwise all in one."""
    shown = finding.items[:NAMES]
    more = f"and {len(finding.items) - len(shown):,} more" if len(finding.items) > len(shown) else ""
    if not finding.grouped and not any(item.note for item in shown):
        lines = [", ".join(item.images[0] for item in shown) + f" {more}"] if shown else []
    else:
        lines = [f"{_together(item, split_of)}{item.note and ': '}{item.note}" for item in shown]
        lines += [more] if more else []
    return [" " * 9 + textwrap.shorten(line, 300, placeholder=" ...") for line in lines]


def _together(item: Item, split_of: dict[str, str]) -> str:
    """The names of an item; of a group, with the split of each."""
    if len(item.images) == 1:
        return item.images[0]
    return ", ".join(f"{name} ({split_of[name]})" for name in item.images)


def _summary(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.severity for finding in findings)
    if not counts:
        return "Nothing to report."
    return ", ".join(count(counts[severity], severity) for severity in SEVERITIES if counts[severity])
