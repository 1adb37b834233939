"""`petseg import`: turns a data set into one that the source `folder` accepts, and says what it understood."""

import shlex
from pathlib import Path

from petseg.config.overrides import hydra
from petseg.importing import plan as planning
from petseg.importing import write
from petseg.importing.plan import Options
from petseg.runtime import machine


def run(source: Path, out: Path, options: Options, dry_run: bool = False) -> None:
    """Prints what was understood and, unless `dry_run`, writes the folder `out`.

    Raises:
        DataError: there is nothing to import, a file is damaged, an option is missing or does not fit, or `out` is
            not free.
    """
    write.check_free(source, out)
    workers = machine.workers()
    plan = planning.make(source, options, workers)
    print(plan.text().encode(errors="backslashreplace").decode(), flush=True)  # a file name may be no UTF-8
    plan.check()
    if dry_run:
        print(f"Nothing was written (--dry-run). Without it, {len(plan.items)} images and masks go to {out}.")
        return
    write.write(plan, out, workers)
    print(f"{len(plan.items)} images and masks are in {out}. Next:\n  {next_command(out)}")


def next_command(out: Path) -> str:
    """The command that trains on the new data set."""
    path = str(out)
    plain = path.replace("/", "").replace("-", "").replace("_", "").replace(".", "").isalnum() and path.isascii()
    value = path if plain else hydra(path)
    return shlex.join(["dvc", "exp", "run", "-S", "data.source=folder", "-S", f"data.path={value}"])
