"""Runs the checks and prints one line for each."""

from collections.abc import Callable
from pathlib import Path

from petseg.doctor import checks, dvc_lock, dvc_remote, facts
from petseg.doctor.checks import ERROR, OK, Result
from petseg.runtime.errors import PetsegError

BEFORE_REPRO: dict[str, Callable[[], Result]] = {  # checks that tools/preflight.py does not make
    "dvc": checks.dvc,
    "dvc lock": dvc_lock.check,
    "parameters": checks.parameters,
    "environment": checks.environment,
    "folders": checks.folders,
    "disk": checks.disk,
    "GPU": checks.gpu,
    "shared memory": checks.shared_memory,
}
CHECKS = {
    "git": checks.git,
    "identity": checks.identity,
    **BEFORE_REPRO,
    "archives": checks.archives,
    "remote": dvc_remote.check,
}


def run(quiet: bool = False) -> None:
    """Makes all checks in the current folder, the top folder of a project, and prints what a bug report needs.

    Args:
        quiet: make only the checks of `BEFORE_REPRO`, and print only problems.

    Raises:
        PetsegError: this is not the top folder of a project, or a check found an error.
    """
    if not all(Path(name).is_file() for name in ("dvc.yaml", "params.yaml")):
        raise PetsegError(f"{Path.cwd()} has no dvc.yaml and params.yaml; run this in the top folder of the project.")
    errors = []
    for name, check in (BEFORE_REPRO if quiet else CHECKS).items():
        status, text = _result(check)
        if not (quiet and status == OK):
            print(f"{status:<7}  {name}: {text}", flush=True)
        if status == ERROR:
            errors.append(name)
    if not quiet:
        print(f"\nFor a bug report:\n{facts.table()}")
    if errors:
        raise PetsegError(f"{', '.join(errors)}: see above; correct this, then run `petseg doctor` again.")


def _result(check: Callable[[], Result]) -> Result:
    try:
        return check()
    except (PetsegError, OSError) as error:
        return ERROR, str(error)
