"""Draws the figures plots/*.png and writes the page report/index.html."""

import _here  # noqa: F401

import argparse

from petseg.config import params, stage
from petseg.report.inputs import load
from petseg.report.page import Report
from petseg.report.summary import PAGE
from petseg.runtime import errors, files
from petseg.runtime.provenance import commit


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with stage.for_stage(*params.KEYS) as p:
        report = Report(load(p), commit())
        page, figures = report.page(), report.figures()
    for name, content in figures.items():
        with files.atomic_file(f"plots/{name}") as part:
            part.write_bytes(content)
    files.write_text(PAGE, page)
    print(f"report: {PAGE}, {len(page.encode()) / 1e6:.1f} MB")


if __name__ == "__main__":
    errors.run(main)
