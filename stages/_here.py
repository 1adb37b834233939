"""What every stage begins with: this checkout's own code, and a quiet end after Ctrl-C.

DVC runs queued experiments in a copy of the tree: there a stage must use the copy's code, not the one that
`pip install -e .` points to.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))


def _end(kind: type[BaseException], error: BaseException, trace: object) -> None:
    """Ctrl-C while the imports run, which take seconds; later on it is `petseg.errors.run` that answers."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted; the same command starts again", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _end
