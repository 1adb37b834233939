"""The last lines of `make repro`: both networks' test Dice, and where the report lies."""

from petseg.report.inputs import LABELS, read_scores
from petseg.runtime import errors

PAGE = "report/index.html"


def summary() -> str:
    """Test Dice of each network with its 95 % interval, a line each, and the page's path; no newline at the end.

    Raises:
        PetsegError: metrics/test.json is missing or damaged.
    """
    lines = [
        f"{LABELS[name]:<14} test Dice {scores.dice:.4f}  [{scores.dice_low:.4f}, {scores.dice_high:.4f}]"
        for name, scores in read_scores().items()
    ]
    return "\n".join([*lines, f"{'Report':<14} {PAGE}"])


if __name__ == "__main__":
    errors.run(lambda: print(summary()))
