"""The command `petseg compare`: which of two sides is better, and how sure that is."""

from collections.abc import Sequence
from pathlib import Path

from petseg.config.networks import NETWORKS
from petseg.experiments import compare, compare_text
from petseg.runtime import files
from petseg.runtime.errors import PetsegError


def run(
    first: str | None,
    second: str | None,
    networks: Sequence[str],
    score: str,
    form: Sequence[str],
    page: Path | None = None,
) -> None:
    """Prints the comparison.

    Args:
        first, second: what `compare.find` takes. Without `second`, HEAD; without both, the workspace's two networks.
        networks: keys of NETWORKS; all if empty.
        score: one of SCORE_NAMES.
        form: at most one of csv and json; none is text.
        page: write a page here, besides.

    Raises:
        PetsegError: an unknown name; or the two sides cannot be compared.
    """
    if len(form) > 1:
        raise PetsegError("--csv and --json exclude each other; choose one of them.")
    for name in networks:
        if name not in NETWORKS:
            raise PetsegError(f"There is no network {name}; the networks are {', '.join(NETWORKS)}.")
    if score not in compare.SCORE_NAMES:
        raise PetsegError(f"There is no score {score} of each image; choose one of {', '.join(compare.SCORE_NAMES)}.")
    pairs = compare.sides(first, second, networks)
    comparisons = compare.compare(pairs, score)
    differing = compare.differ_in(pairs[0][0].results, pairs[0][1].results)
    if page:
        from petseg.experiments import compare_page

        files.write_text(page, compare_page.render(comparisons, differing))
    if "json" in form:
        print(compare_text.as_json(comparisons, differing))
    elif "csv" in form:
        print(compare_text.as_csv(comparisons))
    else:
        print(compare_text.text(comparisons, differing))
