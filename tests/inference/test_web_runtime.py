"""ONNX Runtime Web: where it is found, and what is said if it is not. No test here needs npm or a network."""

import hashlib
import os
import re
import tarfile

import pytest

from petseg.inference import web_runtime
from petseg.inference.web_runtime import SCRIPT, VERSION, WASM, find_runtime
from petseg.runtime.errors import PetsegError

FILES = {SCRIPT: b"export const env = {};", WASM: b"\0asm"}


@pytest.fixture(autouse=True)
def small_package(monkeypatch, tmp_path):
    """Two small files take the place of the real ones, and the cache is empty."""
    monkeypatch.setattr(
        web_runtime, "SHA256", {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    )
    monkeypatch.setenv("PETSEG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "package"
    (folder / "dist").mkdir(parents=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def archive(package, tmp_path):
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as file:
        file.add(package, "package")
    return tmp_path / "package.tgz"


def npm(monkeypatch, folder, script):
    """Puts a shell script in the place of npm."""
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def fails(message, folder=None):
    with pytest.raises(PetsegError) as error:
        find_runtime(folder)
    assert re.search(message, str(error.value)), error.value
    assert "--runtime" in str(error.value)
    assert str(error.value).endswith(".")


def test_a_folder_or_archive_is_read(package, archive):
    for given in (package, archive):
        runtime = find_runtime(given)
        assert (runtime.script, runtime.wasm, runtime.version) == (FILES[SCRIPT], FILES[WASM], VERSION)


def test_another_version_is_refused(package):
    (package / WASM).write_bytes(b"another")
    fails(f"{WASM} in .*package is not that of onnxruntime-web {VERSION}", package)


def test_what_is_no_package_is_refused(tmp_path, package):
    fails(f"{SCRIPT} does not exist", tmp_path)
    fails("missing does not exist", tmp_path / "missing")
    fails("cannot be read", package / SCRIPT)
    with tarfile.open(tmp_path / "other.tgz", "w:gz") as file:
        file.add(package / WASM, "package/readme")
    fails("other.tgz.*not found", tmp_path / "other.tgz")


def test_npm_fetches_once(monkeypatch, tmp_path, archive):
    bin_folder = tmp_path / "bin"
    wanted = f'[ "$1 $2" = "pack onnxruntime-web@{VERSION}" ] || exit 3'
    npm(monkeypatch, bin_folder, f'{wanted}; while [ "$1" != --pack-destination ]; do shift; done; cp "{archive}" "$2"')
    assert find_runtime().wasm == FILES[WASM]
    (bin_folder / "npm").write_text("#!/bin/sh\nexit 1\n")
    assert find_runtime().script == FILES[SCRIPT]
    cached = tmp_path / "cache" / f"onnxruntime-web-{VERSION}" / WASM
    cached.write_bytes(b"damaged")
    fails("npm could not fetch")
    (bin_folder / "npm").write_text(f'#!/bin/sh\ncp "{archive}" "$6"\n')
    assert find_runtime().wasm == cached.read_bytes() == FILES[WASM]


def test_what_npm_fetched_is_verified(monkeypatch, tmp_path, package, archive):
    (package / SCRIPT).write_bytes(b"changed")
    with tarfile.open(archive, "w:gz") as file:
        file.add(package, "package")
    npm(monkeypatch, tmp_path / "bin", f'cp "{archive}" "$6"')
    fails(f"{SCRIPT} in what npm fetched")
    assert not (tmp_path / "cache").exists()


def test_npm_is_missing_or_offline(monkeypatch, tmp_path):
    npm(monkeypatch, tmp_path / "bin", "echo network is down >&2; exit 1")
    fails("npm could not fetch onnxruntime-web .*check the network")
    monkeypatch.setenv("PATH", str(tmp_path))
    fails("npm is not installed")
