"""The project's folder, and the folder of real data."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "params.yaml"


def real_data(name: str) -> Path:
    """The path of `name` in the folder PETSEG_TEST_DATA; skips the test if either is missing."""
    folder = os.environ.get("PETSEG_TEST_DATA")
    if not folder:
        pytest.skip("PETSEG_TEST_DATA is not set; it names a folder with parts of Oxford-IIIT Pet")
    path = Path(folder) / name
    if not path.exists():
        pytest.skip(f"PETSEG_TEST_DATA has no {name}")
    return path
