"""The wheel holds the whole package, data files included."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import petseg

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    build = [sys.executable, "-m", "pip", "wheel", ".", "--no-index", "--no-deps", "--no-build-isolation"]
    env = os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run([*build, "--wheel-dir", "dist"], cwd=source, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return zipfile.ZipFile(next((source / "dist").glob("*.whl")))


def test_every_file_of_the_package_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    package = ROOT / "src" / "petseg"
    files = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    expected = {path.relative_to(ROOT / "src").as_posix() for path in files}
    assert {"petseg/py.typed", "petseg/report/page.html", "petseg/report/model_card.md"} <= expected
    assert {name for name in wheel.namelist() if name.startswith("petseg/")} == expected


def test_metadata(wheel: zipfile.ZipFile) -> None:
    info = f"petseg-{petseg.__version__}.dist-info"
    metadata = wheel.read(f"{info}/METADATA").decode()
    assert f"\nVersion: {petseg.__version__}\n" in metadata
    assert "petseg = petseg.cli:" in wheel.read(f"{info}/entry_points.txt").decode()
    assert f"\nversion: {petseg.__version__}\n" in (ROOT / "CITATION.cff").read_text()
