"""Puts this checkout's own src before any installed petseg.

DVC runs queued experiments in a copy of the tree: there a stage must use the copy's code, not the one that
`pip install -e .` points to.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
