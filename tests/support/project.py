"""A copy of this project in a git repository of its own, with tiny settings, driven by the real `dvc`."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from petseg.config import params

ROOT = Path(__file__).resolve().parents[2]
STAGES = ["fetch_data", "split", "train_unet", "train_resnet34_unet", "evaluate", "report"]
TINY = {
    "data.images": 40,
    "image_size": 64,
    "batch_size": 4,
    "epochs": 4,
    "lr": "5e-3",
    "train.precision": "fp32",
    "unet.width": 8,
    "resnet34_unet.width": 8,
    "evaluate.bootstrap": 100,
}
IMPORTS = """
import atexit, os, sys

def note():
    folder = os.environ.get("PETSEG_TEST_IMPORTS")
    name = "-".join([os.path.basename(sys.argv[0]), *sys.argv[1:]])
    if folder and name.split(".")[0] in ("fetch_data", "split", "train", "evaluate", "report"):
        mine = [m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "petseg"]
        with open(os.path.join(folder, name), "a") as file:
            file.write("\\n".join(mine) + "\\n")

atexit.register(note)
"""


class Project:
    """The copy in `folder`; `site` is a folder for Python's start-up hook that notes what stages import."""

    def __init__(self, folder: Path, site: Path) -> None:
        self.folder = folder
        self.imports = site / "imports"
        self.imports.mkdir(parents=True)
        (site / "sitecustomize.py").write_text(IMPORTS)
        self.env = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(site),
            "PETSEG_DEVICE": "cpu",
            "PETSEG_WORKERS": "2",
            **{
                f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
            },
        }

    def run(self, *command: str, status: int | None = 0, **env: str) -> str:
        """Runs a command in the copy; stdout and stderr together. `status` None allows any."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,
        )
        assert status is None or done.returncode == status, f"{command} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def start(self, *command: str, **env: str) -> "Started":
        """Starts a command in the copy and does not wait for it."""
        return Started(command, self.folder, self.env | env)

    def dvc(self, *arguments: str, status: int | None = 0, **env: str) -> str:
        return self.run("dvc", *arguments, status=status, **env)

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments)

    def commit(self, message: str) -> str:
        """Commits everything that git does not ignore; the commit's hash."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD").strip()

    def restore(self) -> None:
        """Puts the last commit and its outputs back."""
        self.git("checkout", "--quiet", "--force", "HEAD")
        self.dvc("checkout", "--quiet", "--force")

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert old in text
        (self.folder / name).write_text(text.replace(old, new, 1))


class Started:
    """A command that runs, in a process group of its own; stdout and stderr go to one file."""

    def __init__(self, command: tuple[str, ...], folder: Path, env: dict[str, str]) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed by `end`
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self._process.pid

    def alive(self) -> list[psutil.Process]:
        """The processes of its group that have not ended, itself and what it started."""
        self._process.poll()
        found = []
        for process in psutil.process_iter():
            try:
                if os.getpgid(process.pid) == self.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (ProcessLookupError, psutil.NoSuchProcess):
                continue
        return found

    def training(self) -> psutil.Process:
        """The process that trains."""
        return next(each for each in self.alive() if each.cmdline()[1:2] == ["stages/train.py"])

    def said(self) -> str:
        """What it has printed so far."""
        with open(f"/proc/self/fd/{self._log.fileno()}") as log:
            return log.read()

    def end(self, seconds: float = 120) -> tuple[int, str]:
        """Waits until all its processes have ended; its exit status, negative for a signal, and what was printed.

        Raises:
            AssertionError: they are still there after so many seconds; they are killed then.
        """
        try:
            wait_until(lambda: not self.alive(), seconds)
        finally:
            for process in self.alive():
                process.kill()
        said = self.said()
        self._log.close()
        return self._process.wait(), said


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Looks every 20 ms whether it is so; AssertionError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.02)


def copy(folder: Path, site: Path, settings: dict = TINY) -> Project:
    """Copies what git would commit here, as it lies in the working tree, with `settings` in params.yaml."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file() and name != "dvc.lock" and not name.startswith(("metrics/", "plots/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    if (ROOT / ".dvc" / "vega.js").exists():
        shutil.copy(ROOT / ".dvc" / "vega.js", folder / ".dvc" / "vega.js")
    project = Project(folder, site)
    write_settings(folder / "params.yaml", settings)
    project.git("init", "--quiet", "--initial-branch", "main")
    return project


def write_settings(path: Path, settings: dict) -> None:
    """Sets dotted keys in a params.yaml as a person would: line by line, comments kept."""
    lines = path.read_text().splitlines()
    for dotted, value in settings.items():
        *sections, key = dotted.split(".")
        at = -1
        for depth, name in enumerate([*sections, key]):
            start = "  " * depth + name + ":"
            at = next(i for i in range(at + 1, len(lines)) if lines[i].startswith(start))
        comment = re.search(r" +#.*$", lines[at])
        lines[at] = f"{'  ' * len(sections)}{key}: {value}{comment[0] if comment else ''}"
    path.write_text("\n".join(lines) + "\n")
    params.load(path)


def ran(output: str) -> list[str]:
    """The stages that a `dvc repro` or `dvc exp run` started, in order."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage '")]


def metrics(project: Project, name: str = "test") -> dict:
    """What metrics/NAME.json of the copy holds."""
    return json.loads((project.folder / "metrics" / f"{name}.json").read_text())
