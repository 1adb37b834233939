"""Draws the figures plots/*.png and writes report/: the page index.html and the model card MODEL_CARD.md."""

import _here  # noqa: F401

import argparse

from petseg.config import params, stage
from petseg.report import model_card
from petseg.report.inputs import load
from petseg.report.page import Report
from petseg.report.summary import PAGE
from petseg.runtime import errors, files
from petseg.runtime.provenance import commit


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with stage.for_stage(*params.KEYS) as p:
        inputs = load(p)
        report = Report(inputs, commit())
        page, figures, card = report.page(), report.figures(), model_card.write(inputs)
    for name, content in figures.items():
        with files.atomic_file(f"plots/{name}") as part:
            part.write_bytes(content)
    files.write_text(PAGE, page)
    files.write_text(model_card.CARD, card)
    print(f"report: {PAGE}, {len(page.encode()) / 1e6:.1f} MB, and {model_card.CARD}")


if __name__ == "__main__":
    errors.run(main)
