"""Imported first by every stage: checks the environment, uses the code of this checkout, and handles early signals.

dvc runs queued experiments in a temporary copy of the project. There a stage must use the copy's code, not the code
that `pip install --editable .` points to.
"""

import os
import signal
import sys
from importlib.util import find_spec
from multiprocessing import parent_process
from pathlib import Path

if missing := [name for name in ("albumentations", "psutil", "torch") if find_spec(name) is None]:
    sys.exit(
        f"error: {sys.executable} does not have the project's packages ({', '.join(missing)}); activate the "
        "environment that has them, or run the stage with .venv/bin/python."
    )
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from petseg.runtime import errors, machine, signals


def _exit(number: int, frame: object) -> None:
    """Handles signals during the imports, which take seconds; later `errors.run` does."""
    os._exit(errors.print_error(errors.Stopped(number)))


if parent_process() is None:  # a stage's worker processes import this file too
    for _number in errors.STOPS:
        signal.signal(_number, _exit)
    signals.follow_dvc()
    try:
        machine.check_environment()
    except errors.PetsegError as _error:
        sys.exit(errors.print_error(_error))
