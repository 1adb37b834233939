"""Divides the images into train, valid and test, and packs them: data/raw -> data/splits.csv and data/packed."""

import _here  # noqa: F401

import argparse
import time
from collections import Counter

from petseg.audit import duplicates
from petseg.audit.findings import count, verb
from petseg.config import stage
from petseg.data import copies, empty_masks, layout, pack, packed, splits
from petseg.runtime import errors, files, machine


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    start = time.perf_counter()
    # Outputs are moved into place only after everything is packed and the final check of the parameters.
    with files.atomic_folder(packed.PACKED) as part:
        with stage.for_stage("split", "image_size") as p:
            trainval, test = layout.check(layout.RAW)
            divided = splits.split(trainval, test, p.split.rule, p.split.seed)
            assignments = splits.exclude(divided, p.split.exclude)
            if p.split.group == "duplicates":
                groups = duplicates.find_groups(layout.RAW, machine.workers())
                assignments = splits.keep_together(assignments, groups)
            clean = len(assignments)
            if p.split.limit is not None:
                assignments = splits.limit(assignments, p.split.limit, p.split.seed)
            sizes = pack.pack(layout.RAW, assignments, p.image_size, part, machine.workers())
            note = empty_masks.check(part, assignments)
            leaks = copies.crossing(part, assignments)
        splits.write_table(assignments, sizes, splits.TABLE)
    counts = Counter(name for _, name in assignments)
    listed = ", ".join(f"{counts[name]} {name}" for name in splits.SPLITS)
    print(f"split: {listed}, packed at {p.image_size} x {p.image_size} in {time.perf_counter() - start:.1f} s")
    if left_out := len(divided) - clean:
        print(f"split: {left_out} left out, by split.exclude or as copies of test images")
    if limited := clean - len(assignments):
        print(f"split: {limited} train images left out by split.limit")
    if leaks:
        print(
            f"split: {count(leaks, 'photograph')} {verb(leaks, 'is', 'are')} in more than one split "
            f"({', '.join(leaks[0])}); `petseg audit` lists all copies, split.group=duplicates keeps each in one split"
        )
    if note:
        print(f"split: {note}; they are scored apart, see docs/evaluation.md")


if __name__ == "__main__":
    errors.run(main)
