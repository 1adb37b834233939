"""Unpacking of archives from the internet."""

import gzip
import shutil
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from petseg.runtime.errors import DataError, PetsegError, disk_full


def extract(archive: Path, folder: Path, wanted: Callable[[PurePosixPath], bool] = lambda path: True) -> None:
    """Unpacks files of a tar.gz archive into a folder, which is created if needed.

    Only contents are written, as new regular files inside the folder; permissions and owners are not taken over.
    Symbolic links, devices and pipes are ignored. A hard link becomes a copy of the file of this archive it links to.

    Args:
        archive: the file.
        folder: the destination. After an error the caller must remove its content, as `files.atomic_folder` does.
        wanted: which files to unpack, by their path in the archive.

    Raises:
        DataError: the archive is truncated or not a tar.gz file; or a wanted file is outside the folder.
        PetsegError: the disk is full, or the files cannot be read or written.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if not (member.isreg() or member.islnk()) or not wanted(path):
                    continue
                if path.is_absolute() or ".." in path.parts:
                    raise DataError(f"{archive} is not safe to unpack: it holds {member.name}; replace it.")
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                content = cast(BinaryIO, tar.extractfile(member))
                with open(folder / path, "wb") as file:
                    shutil.copyfileobj(content, file)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, KeyError) as error:  # KeyError: a dangling link
        reason = str(error) or type(error).__name__
        raise DataError(
            f"{archive} is truncated or not a tar.gz file ({reason}); delete it and fetch it again."
        ) from error
    except OSError as error:
        raise (
            disk_full(error, folder)
            or PetsegError(f"{archive} could not be unpacked to {folder} ({error}); fix that and run this again.")
        ) from error
