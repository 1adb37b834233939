import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest

from petseg.runtime import locks


def test_a_file_that_its_owner_deletes_meanwhile_is_not_locked(tmp_path, monkeypatch):
    path, flock = tmp_path / "new" / "lock", fcntl.flock

    def delete(file, operation):
        flock(file, operation)
        path.unlink()

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", delete)
        assert locks.try_lock(path) is None
    with locks.try_lock(path):
        assert locks.try_lock(path) is None


@pytest.fixture
def folder():
    """A folder that other users reach, which those of pytest are not."""
    path = Path(tempfile.mkdtemp(dir="/tmp"))
    yield path
    os.seteuid(os.getuid())
    shutil.rmtree(path)


def test_users_share_locks(folder):
    """In a folder such as /tmp, where no user may open another user's file with O_CREAT (fs.protected_regular)."""
    folder.chmod(0o1777)
    umask = os.umask(0o077)
    try:
        lock = locks.try_lock(folder / "lock")
    finally:
        os.umask(umask)
    with lock:
        assert stat.S_IMODE((folder / "lock").stat().st_mode) == 0o644
        if os.getuid() == 0:
            os.seteuid(65534)
        assert locks.try_lock(folder / "lock") is None
    with locks.try_lock(folder / "lock"):
        pass
