"""The last lines of `make repro`: the test Dice of each network, and where the report is."""

from pathlib import Path

from petseg.config.networks import NETWORKS
from petseg.report.inputs import read_scores
from petseg.runtime import errors

PAGE = "report/index.html"


def summary() -> str:
    """Returns one line per network, with its test Dice and 95% interval, and one for the report; no final newline.

    Raises:
        PetsegError: metrics/test.json is missing or damaged.
    """
    lines = {
        NETWORKS[name].label: f"test Dice {scores['dice']:.4f}"
        + (f"  [{scores['dice_low']:.4f}, {scores['dice_high']:.4f}]" if "dice_low" in scores else "")
        for name, scores in read_scores().items()
    }
    lines["Report"] = PAGE if Path(PAGE).is_file() else f"{PAGE} does not exist; `dvc repro report` makes it"
    width = max(map(len, lines))
    return "\n".join(f"{label:<{width}}  {text}" for label, text in lines.items())


if __name__ == "__main__":
    errors.run(lambda: print(summary()))
