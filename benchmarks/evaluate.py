"""Seconds of the stage evaluate in two checkouts, in turns.

    python benchmarks/evaluate.py ../petseg-0.3 .

Each folder is a checkout in which the stages before evaluate have run, on the same data with the same parameters.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from measuring import commit, headline


def seconds(checkout: Path, script: str, *arguments: str) -> float:
    """Wall time of a stage of a checkout, or of its help."""
    env = os.environ | {"PYTHONPATH": str(checkout.resolve() / "src")}
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, f"stages/{script}", *arguments], cwd=checkout, env=env, check=True, capture_output=True
    )
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", type=Path, nargs=2, help="the earlier and the later one")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions, of which the medians are reported")
    options = parser.parse_args()
    print(headline())
    print("| commit | evaluate, s | its start alone, s |\n|---|---|---|")
    runs = [
        [(seconds(c, "evaluate.py"), seconds(c, "evaluate.py", "--help")) for c in options.checkouts]
        for _ in range(options.rounds)
    ]
    medians = [
        [statistics.median(values) for values in zip(*of_checkout, strict=True)]
        for of_checkout in zip(*runs, strict=True)
    ]
    for checkout, (whole, start) in zip(options.checkouts, medians, strict=True):
        print(f"| {commit(checkout)} | {whole:.1f} | {start:.1f} |")
    (before, first), (after, second) = medians
    print(f"\nRatio {after / before:.2f}; without the start {(after - second) / (before - first):.2f}.")


if __name__ == "__main__":
    main()
