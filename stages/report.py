"""Draws the figures plots/*.png and writes report/: the page, the model card, and figures as SVG and PDF."""

import _here  # noqa: F401

import argparse

from petseg.audit import command
from petseg.config import params, stage
from petseg.report import again, model_card
from petseg.report.inputs import load
from petseg.report.page import Report
from petseg.report.summary import PAGE
from petseg.runtime import errors, files, machine


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with stage.for_stage(*params.KEYS) as p:
        rendered = p.data.source == "synthetic"  # exact masks, about which an audit can only err
        inputs = load(p, () if rendered else command.audit(None, machine.workers()).findings)
        report = Report(inputs, again.origin())
        page, card = report.page(), model_card.write(inputs)
        figures = {f"plots/{name}": content for name, content in report.figures().items()}
        figures |= {f"report/figures/{name}": content for name, content in report.paper_figures().items()}
    for path, content in figures.items():
        with files.atomic_file(path) as part:
            part.write_bytes(content)
    files.write_text(PAGE, page)
    files.write_text(model_card.CARD, card)
    print(f"report: {PAGE}, {len(page.encode()) / 1e6:.1f} MB, and {model_card.CARD}")


if __name__ == "__main__":
    errors.run(main)
