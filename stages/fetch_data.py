"""Fetches the images of `data.source` into data/raw, in the layout of Oxford-IIIT Pet."""

import _here  # noqa: F401

import argparse
import time

from petseg.config import stage
from petseg.data import layout
from petseg.data.sources import fetch
from petseg.runtime import errors, files, machine


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    start = time.perf_counter()
    # The folder is moved into place after the final check of the parameters.
    with files.atomic_folder(layout.RAW) as folder, stage.for_stage("data") as p:
        trainval, test = fetch.fetch(p.data, folder, machine.workers())
    seconds = time.perf_counter() - start
    print(f"fetch_data: {p.data.source}, {len(trainval)} trainval and {len(test)} test images in {seconds:.1f} s")


if __name__ == "__main__":
    errors.run(main)
