"""ONNX Runtime Web, which runs a network in a browser: found in a folder or in the cache, or fetched once with npm."""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from petseg.runtime.download import cache_folder
from petseg.runtime.errors import PetsegError
from petseg.runtime.files import atomic_folder

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SCRIPT, WASM = "dist/ort.wasm.bundle.min.mjs", "dist/ort-wasm-simd-threaded.wasm"
SHA256 = {
    SCRIPT: "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    WASM: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
NPM_SECONDS = 300

# The package says that its license is MIT, without the text, which must accompany every copy.
LICENSE = """MIT License

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated \
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the \
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit \
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the \
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE \
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR \
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR \
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""


@dataclass(frozen=True)
class Runtime:
    """Two files of the package: `script`, an ES module of JavaScript, and `wasm`, the WebAssembly that it runs."""

    script: bytes
    wasm: bytes
    version: str = VERSION


def find_runtime(folder: Path | None = None) -> Runtime:
    """Returns the runtime, verified by SHA-256.

    Args:
        folder: the unpacked npm package, or its .tgz file. None: the copy in petseg's cache, which the npm client
            fetches first if there is none.

    Raises:
        PetsegError: `folder` does not hold the package in the version needed; npm is missing or cannot fetch it.
    """
    if folder is not None:
        return _verified(_read(folder), str(folder))
    cached = cache_folder() / f"{PACKAGE}-{VERSION}"
    try:
        return _verified(_read(cached), str(cached))
    except PetsegError:  # not there yet, or damaged
        files = _fetch()
    runtime = _verified(files, f"what npm fetched as {PACKAGE}@{VERSION}")
    with atomic_folder(cached) as part:
        (part / "dist").mkdir()
        for name, content in files.items():
            (part / name).write_bytes(content)
    return runtime


def _verified(files: dict[str, bytes], where: str) -> Runtime:
    for name, sha256 in SHA256.items():
        if hashlib.sha256(files[name]).hexdigest() != sha256:
            raise PetsegError(
                f"{name} in {where} is not that of {PACKAGE} {VERSION}; give that version of the npm package with "
                "--runtime."
            )
    return Runtime(files[SCRIPT], files[WASM])


def _read(package: Path) -> dict[str, bytes]:
    """Reads the two files from an unpacked package or a .tgz file."""
    try:
        if package.is_dir():
            return {name: (package / name).read_bytes() for name in SHA256}
        with tarfile.open(package) as archive:
            members = {name: archive.extractfile(f"package/{name}") for name in SHA256}
            return {name: file.read() if file else b"" for name, file in members.items()}
    except FileNotFoundError as error:
        raise PetsegError(f"{error.filename} does not exist; {_CURE}") from None
    except KeyError as error:
        raise PetsegError(f"{package}: {error.args[0]}; {_CURE}") from None
    except (OSError, tarfile.TarError) as error:
        raise PetsegError(f"{package} cannot be read ({error}); {_CURE}") from None


_CURE = f"--runtime takes the npm package {PACKAGE} {VERSION}, unpacked or as .tgz."


def _fetch() -> dict[str, bytes]:
    """Fetches the package with npm."""
    cure = f"check the network, or give the package with --runtime (`npm pack {PACKAGE}@{VERSION}` elsewhere makes it)."
    npm = shutil.which("npm")
    if npm is None:
        raise PetsegError(f"{PACKAGE} {VERSION} is not in the cache and npm is not installed; install Node.js, {cure}")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--fetch-retries=1", "--pack-destination", folder]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=NPM_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise PetsegError(f"npm did not fetch {PACKAGE} {VERSION} within {NPM_SECONDS} s; {cure}") from None
        packed = list(Path(folder).glob("*.tgz"))
        if done.returncode != 0 or not packed:
            reason = f"exit status {done.returncode}"
            raise PetsegError(f"npm could not fetch {PACKAGE} {VERSION} ({reason}); {cure}")
        return _read(packed[0])
