"""Settings of all tests."""

import ctypes
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

# One thread in this process and in each stage that a test starts. On a busy machine, threads that wait for each other
# make tiny networks many times slower.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

# Trainings in tests do not wait for other trainings on this machine.
_locks = tempfile.TemporaryDirectory(prefix="petseg-locks-")  # until this process ends
os.environ["PETSEG_LOCKS"] = _locks.name


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a GPU")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system with 64 KiB of space; mounting it needs root, and is forbidden in some containers."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "mount") or libc.mount(b"tmpfs", bytes(folder), b"tmpfs", 0, b"size=64k") != 0:
        pytest.skip(f"no small file system can be mounted here: {os.strerror(ctypes.get_errno())}")
    try:
        yield folder
    finally:
        libc.umount2(bytes(folder), 2)  # MNT_DETACH: also if a failed test left files open
