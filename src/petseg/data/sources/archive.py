"""Safe unpacking of archives from the internet."""

import gzip
import os
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from petseg.runtime.errors import DataError, PetsegError, disk_full


def extract(archive: Path, folder: Path, keep: Callable[[PurePosixPath], bool] = lambda member: True) -> None:
    """Unpacks a tar.gz archive into a folder, which is created if needed.

    All members are checked before the first is written, so that a refused archive leaves nothing behind. Owners,
    set-uid, set-gid and sticky bits, and write permission for group and others are not taken over.

    Args:
        archive: the file.
        folder: the destination. After an error while writing (a full disk), the caller must remove its content, as
            `files.atomic_folder` does.
        keep: which members to write, by their path in the archive. All members are checked.

    Raises:
        DataError: the archive is truncated or not a tar.gz file; or it holds an absolute path, a path with `..`, a
            symbolic link, a hard link to anything but an earlier file of the archive, a device or a pipe.
        PetsegError: the disk is full, or the files cannot be read or written.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            members = tar.getmembers()
            _check(archive, members)
            kept = [member for member in members if keep(PurePosixPath(member.name))]
            for member in kept:
                member.mode = (member.mode | (0o700 if member.isdir() else 0o600)) & 0o755
                member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
            if hasattr(tarfile, "data_filter"):  # Python 3.11.4 and later: a second guard
                tar.extraction_filter = tarfile.data_filter
            tar.extractall(folder, members=kept)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        reason = str(error) or type(error).__name__
        raise DataError(
            f"{archive} is truncated or not a tar.gz file ({reason}); delete it and fetch it again."
        ) from error
    except OSError as error:
        raise (
            disk_full(error, folder)
            or PetsegError(f"{archive} could not be unpacked to {folder} ({error}); fix that and run this again.")
        ) from error


def _check(archive: Path, members: list[tarfile.TarInfo]) -> None:
    """Enforces the rules of `extract`; Python's own "data" filter silently repairs some violations."""
    files: set[str] = set()
    for member in members:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            danger = "would be written outside the folder"
        elif member.issym():
            danger = f"is a symbolic link (to {member.linkname})"
        elif member.islnk() and member.linkname not in files:
            danger = f"is a link to something outside the archive ({member.linkname})"
        elif not (member.isreg() or member.isdir() or member.islnk()):
            danger = "is a device or a pipe"
        else:
            if not member.isdir():
                files.add(member.name)
            continue
        raise DataError(
            f"{archive} is not safe to unpack: {member.name} {danger}; nothing was unpacked. Use an archive from a "
            "trusted source."
        )
