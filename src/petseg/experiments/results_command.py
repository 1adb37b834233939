"""The command `petseg results`: which experiments there are, what they changed and scored."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from petseg.experiments import query, table
from petseg.experiments.collect import collect
from petseg.experiments.query import Row
from petseg.runtime import files
from petseg.runtime.errors import PetsegError

FORMATS = ("md", "csv", "json")


def run(
    column: str, conditions: Sequence[str], all_scores: bool, form: Sequence[str], page: Path | None = None
) -> None:
    """Prints a table of all experiments, and on stderr what is missing in it.

    Args:
        column: to sort by, see `query.sort`; empty: HEAD first, then the oldest.
        conditions: which experiments to show, see `query.where`.
        all_scores: every score of each network, and repetitions one by one.
        form: at most one of FORMATS; none is text.
        page: write a page here instead.

    Raises:
        PetsegError: outside a repository, more than one format, unknown key, or nothing to show.
    """
    if len(form) > 1:
        raise PetsegError(f"{' and '.join(f'--{each}' for each in form)} exclude each other; choose one of them.")
    entries, problems = collect()
    for problem in problems:
        print(problem, file=sys.stderr)
    shown = query.where(entries, conditions) if conditions else entries
    if not shown:
        raise PetsegError(
            "No experiment meets these conditions; `petseg results` without --where shows all."
            if entries
            else "There are no results yet; `dvc repro` or `dvc exp run` makes some."
        )
    if page:
        from petseg.experiments import results_page  # imports matplotlib, which takes a while

        files.write_text(page, results_page.render(shown, problems))
        return print(f"Open {page} in a browser: it shows {len(shown)} experiments, HEAD included.")
    single = all_scores or any(each in ("csv", "json") for each in form)
    rows = [Row((each,)) for each in shown] if single else query.fold(shown)
    rows = query.sort(rows, column, query.keys(entries)) if column else rows
    print(_written(rows, all_scores, *form))


def _written(rows: Sequence[Row], all_scores: bool, form: str = "text") -> str:
    entries = [row.entries[0] for row in rows]
    if form == "csv":
        return table.as_csv(entries)
    if form == "json":
        return table.as_json(entries)
    if form == "md":
        return table.markdown(rows, "HEAD")
    width = shutil.get_terminal_size().columns
    return table.everything(entries, width) if all_scores else table.text(rows, "HEAD", width)
