"""Headless Chromium with the network off."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="headless Chromium is not installed")
OFFLINE = ("--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking", "--disable-quic")


def chromium(page: Path, *arguments: str, width: int = 1200, height: int = 2000) -> str:
    """Opens a page from disk, lets its scripts run, and returns what `arguments` ask for on stdout."""
    with tempfile.TemporaryDirectory() as profile:
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", *OFFLINE]
        command += [f"--user-data-dir={profile}", "--hide-scrollbars", f"--window-size={width},{height}"]
        command += ["--virtual-time-budget=10000", *arguments, page.resolve().as_uri()]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def dom(page: Path) -> str:
    """The page as it stands after its scripts have run."""
    return chromium(page, "--dump-dom")
