"""`make TORCH_INDEX=...` installs torch's CPU build and no CUDA packages. Tiny wheels stand in for the real ones."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TORCH, TORCHVISION = re.findall(r"^torch(?:vision)?==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)


def write_wheel(folder: Path, name: str, version: str, *requirements: str) -> None:
    """Writes a wheel that holds nothing but its metadata, and its page of a package index in FOLDER/simple."""
    info = f"{name}-{version}.dist-info"
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr(f"{info}/METADATA", "\n".join([*metadata, *(f"Requires-Dist: {each}" for each in requirements)]))
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    page = folder / "simple" / name.replace("_", "-") / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<!DOCTYPE html><a href="{wheel.as_uri()}">{wheel.name}</a>')


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with this Makefile, an index like PyPI's in all/ and one of CPU wheels in cpu/."""
    everything, cpu = tmp_path / "all", tmp_path / "cpu"
    everything.mkdir()
    cpu.mkdir()
    write_wheel(everything, "sympy", "1.0")
    write_wheel(everything, "nvidia_cublas", "13.0")
    write_wheel(everything, "torch", TORCH, "sympy", "nvidia-cublas==13.0")
    write_wheel(everything, "torchvision", TORCHVISION, f"torch=={TORCH}")
    write_wheel(cpu, "torch", f"{TORCH}+cpu", "sympy")
    write_wheel(cpu, "torchvision", f"{TORCHVISION}+cpu", f"torch=={TORCH}")

    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "preflight.py").touch()  # has tests of its own
    (tmp_path / "requirements.txt").write_text(f"sympy==1.0\ntorch=={TORCH}\ntorchvision=={TORCHVISION}\n")
    return tmp_path


def install(project: Path, torch_index: str, status: int = 0) -> dict[str, str]:
    """Runs the Makefile's installation; the versions of the installed packages by name."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MAKE"))}
    env |= {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": (project / "all" / "simple").as_uri()}
    make = ["make", ".venv/packages", f"PYTHON={sys.executable}", f"TORCH_INDEX={torch_index}"]
    done = subprocess.run(make, cwd=project, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert (done.returncode != 0) == bool(status), done.stdout
    pip = [project / ".venv" / "bin" / "pip", "--disable-pip-version-check", "list", "--format", "json"]
    listed = json.loads(subprocess.run(pip, env=env, check=True, capture_output=True, text=True).stdout)
    return {each["name"].replace("_", "-"): each["version"] for each in listed}


@pytest.mark.parametrize("kind", ["folder", "url"])
def test_cpu_build_without_cuda_packages(kind: str, project: Path) -> None:
    cpu = project / "cpu"
    packages = install(project, "cpu" if kind == "folder" else (cpu / "simple").as_uri())
    assert packages["torch"] == f"{TORCH}+cpu"
    assert packages["torchvision"] == f"{TORCHVISION}+cpu"
    assert "sympy" in packages
    assert "nvidia-cublas" not in packages


def test_default_is_the_build_with_cuda(project: Path) -> None:
    packages = install(project, "")
    assert packages["torch"] == TORCH
    assert "nvidia-cublas" in packages


def test_index_without_the_pinned_version_is_an_error(project: Path) -> None:
    shutil.move(project / "cpu" / f"torch-{TORCH}+cpu-py3-none-any.whl", project)
    assert "torch" not in install(project, "cpu", status=2)


def test_requirements_name_no_cuda_package() -> None:
    names = [line.split("==")[0] for line in (ROOT / "requirements.txt").read_text().splitlines()]
    assert "torch" in names
    assert [name for name in names if name.startswith(("nvidia", "cuda", "triton"))] == []
