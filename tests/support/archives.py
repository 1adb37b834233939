"""Archives for tests."""

import hashlib
import io
import tarfile
from pathlib import Path


def write_archive(path: Path, files: dict[str, bytes]) -> str:
    """Writes a tar.gz file of these names and contents; returns its MD5."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return hashlib.md5(path.read_bytes()).hexdigest()
