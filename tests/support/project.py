"""A copy of this project in its own git repository, with tiny settings, driven by the real `dvc`."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from petseg.config import params
from petseg.config.networks import NETWORKS
from petseg.recipes.yaml_edit import edited
from support.paths import ROOT

STAGES = ["fetch_data", "split", *(f"train_{name}" for name in NETWORKS), "evaluate", "report"]
TINY = {
    "data.images": 40,
    "image_size": 64,
    "batch_size": 4,
    "epochs": 4,
    "lr": 0.005,
    "train.precision": "fp32",
    "evaluate.bootstrap": 100,
    **{f"{name}.width": 8 for name in NETWORKS},
}
HANG = 180.0  # seconds after which a test gives up waiting


class Project:
    """The project in `folder`; `site` is a folder for support/sitecustomize.py and DVC's databases."""

    def __init__(self, folder: Path, site: Path) -> None:
        self.folder, self.site = folder, site
        self._started: list[Started] = []
        site.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(__file__).with_name("sitecustomize.py"), site)
        roles = [f"GIT_{role}_{item}" for role in ("AUTHOR", "COMMITTER") for item in ("NAME", "EMAIL")]
        self.env = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(site),
            "DVC_SITE_CACHE_DIR": str(site / "dvc"),
            "PETSEG_DEVICE": "cpu",
            "PETSEG_WORKERS": "2",
            **dict.fromkeys(roles, "test@example.org"),
        }

    def run(self, *command: str, status: int | None = 0, **env: str) -> str:
        """Runs a command in the project; returns stdout and stderr together. A `status` of None allows any."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * HANG,
        )
        assert status is None or done.returncode == status, f"{command} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def start(self, *command: str, hold: bool = False, **env: str) -> "Started":
        """Starts a command in the project; with `hold`, its stages wait as support/sitecustomize.py describes."""
        self._started.append(Started(command, self.folder, self.env | env, hold))
        return self._started[-1]

    def dvc(self, *arguments: str, status: int | None = 0, **env: str) -> str:
        return self.run("dvc", *arguments, status=status, **env)

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments)

    def commit(self, message: str) -> None:
        """Commits everything that git does not ignore."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replaces the first occurrence of `old` in a file."""
        text = (self.folder / name).read_text()
        assert old in text
        (self.folder / name).write_text(text.replace(old, new, 1))

    def read(self, *names: str) -> dict[str, bytes]:
        """Contents of files, by name."""
        return {name: (self.folder / name).read_bytes() for name in names}

    def copy(self, folder: Path) -> "Project":
        """A copy with its own git history, outputs and cache."""
        ignored = shutil.ignore_patterns("tmp", "config.local")
        shutil.copytree(self.folder, folder, symlinks=True, ignore=ignored)
        return Project(folder, self.site)

    def close(self) -> None:
        """Ends what was started and, since they wait a while for more work, the workers of DVC's queue."""
        for started in self._started:
            started.close()
        workers = [each for each in psutil.process_iter() if _is_worker(each, self.folder)]
        for worker in workers:
            worker.terminate()
        psutil.wait_procs(workers, timeout=HANG)


def _is_worker(process: psutil.Process, folder: Path) -> bool:
    try:
        return "queue-worker" in process.cmdline() and Path(process.cwd()).is_relative_to(folder)
    except psutil.Error:
        return False


class Hold:
    """Where stages wait, see support/sitecustomize.py."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="petseg-hold-")

    def pids(self) -> list[int]:
        """The stages that wait now."""
        return [int(name) for name in os.listdir(self.folder)]

    def release(self) -> None:
        """Lets all stages continue, and never wait again."""
        moved = f"{self.folder}.released"
        if os.path.exists(self.folder):
            os.rename(self.folder, moved)  # in one step, so that no stage can begin to wait meanwhile
            shutil.rmtree(moved)


class Started:
    """A running command in its own process group; stdout and stderr go to one file."""

    def __init__(self, command: tuple[str, ...], folder: Path, env: dict[str, str], hold: bool) -> None:
        self.hold = Hold() if hold else None
        self._log = tempfile.NamedTemporaryFile("w+")  # noqa: SIM115, closed by `close`
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=env | ({"PETSEG_TEST_HOLD": self.hold.folder} if self.hold else {}),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self._process.pid

    def held(self) -> int:
        """Waits until one of its stages is held; returns the PID of the stage."""
        wait_until(lambda: self.hold.pids() or not self.alive(), lambda: self.output())
        assert self.hold.pids(), self.output()
        return self.hold.pids()[0]

    def alive(self) -> list[psutil.Process]:
        """The processes of its group that have not ended."""
        self._process.poll()
        found = []
        for process in psutil.process_iter():
            try:
                if os.getpgid(process.pid) == self.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (ProcessLookupError, psutil.NoSuchProcess):
                continue
        return found

    def output(self) -> str:
        """What it has printed so far."""
        with open(self._log.name) as log:
            return log.read()

    def wait_for(self, text: str) -> None:
        """Waits until it has printed `text`."""
        wait_until(lambda: text in self.output(), self.output)

    def end(self) -> tuple[int, str]:
        """Releases its stages and waits until all its processes have ended; returns exit status and output.

        The status is negative for a signal.
        """
        if self.hold:
            self.hold.release()
        try:
            wait_until(lambda: not self.alive(), self.output)
            return self._process.wait(), self.output()
        finally:
            self.close()

    def close(self) -> None:
        """Kills what still runs."""
        if self.hold:
            self.hold.release()
        for process in self.alive():
            process.kill()
        self._process.wait()
        self._log.close()


def wait_until(condition: Callable[[], object], explain: Callable[[], str] = str, seconds: float = HANG) -> None:
    """Waits for a condition; after so many seconds it raises an AssertionError with the text of `explain`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still waiting after {seconds} s\n{explain()}"
        time.sleep(0.1)


def copy(folder: Path, site: Path, settings: dict = TINY) -> Project:
    """Copies the files of the working tree that git does not ignore, without results, and changes params.yaml."""
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
    """Sets dotted keys in a params.yaml, and keeps the comments."""
    path.write_text(edited(path.read_text(), settings))
    params.load(path)


def ran(output: str) -> list[str]:
    """The stages that a `dvc repro` or `dvc exp run` started, in order."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage '")]


def finished_experiments(project: Project) -> list[str]:
    """Their git references; unlike `dvc queue status`, this does not disturb DVC's workers."""
    return project.git("for-each-ref", "--format=%(refname)", "refs/exps/*/*/*").split()


def metrics(project: Project, name: str = "test") -> dict:
    """The content of metrics/NAME.json in the project."""
    return json.loads((project.folder / "metrics" / f"{name}.json").read_text())
