"""What every stage begins with: this checkout's own code, and a quiet end after a signal or the death of dvc.

DVC runs queued experiments in a copy of the tree: there a stage must use the copy's code, not the one that
`pip install -e .` points to.
"""

import os
import signal
import sys
from multiprocessing import parent_process
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from petseg.runtime import errors, signals


def _end(number: int, frame: object) -> None:
    """Ends the stage while its imports run, which take seconds; later on `runtime.errors.run` answers."""
    os._exit(errors.show(errors.Stopped(number)))


if parent_process() is None:  # workers of a stage import it too, and end with it
    for _number in errors.STOPS:
        signal.signal(_number, _end)
    signals.follow_dvc()
