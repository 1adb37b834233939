"""A clone has the same bytes whatever git's settings for line endings are: dvc.lock holds checksums of them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IDENTITY = {f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def git(folder: Path, *arguments: str) -> str:
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    env = os.environ | IDENTITY | settings
    return subprocess.run(["git", *arguments], cwd=folder, env=env, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository of what git would commit here, and of two files as the pipeline might write them."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git clone of the project")
    folder = tmp_path_factory.mktemp("repository")
    names = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0")
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / "plots" / "windows.csv").write_bytes(b"a,b\r\n1,2\r\n")
    (folder / "metrics" / "unix.json").write_bytes(b'{\n  "dice": 0.9\n}\n')
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "start")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in git(folder, "ls-files", "-z").split("\0") if name}


@pytest.mark.parametrize("autocrlf", ["true", "input", "false"])
def test_clone_keeps_every_byte(autocrlf: str, repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--config", f"core.autocrlf={autocrlf}", str(repository), "clone")
    expected = contents(repository)
    assert {"dvc.lock", "params.yaml", "metrics/test.json", "plots/samples.png"} <= expected.keys()
    cloned = contents(tmp_path / "clone")
    assert [name for name in expected if cloned[name] != expected[name]] == []
