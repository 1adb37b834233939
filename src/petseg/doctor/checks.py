"""Checks of the machine and of the project. Each returns a status and a sentence, which ends with the cure."""

import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

from petseg.config import params
from petseg.recipes.run import dvc as find_dvc
from petseg.runtime import download, machine
from petseg.runtime.locks import try_lock

OK, WARNING, ERROR = "ok", "warning", "error"
Result = tuple[str, str]  # status and sentence

OLDEST_DVC = (3, 67)  # as in pyproject.toml
PREFLIGHT = Path("tools/preflight.py")
FOLDERS = ("data", "models", "metrics", "plots", "report", ".petseg")
GB = 1e9
ENOUGH_GB, LEAST_GB = 5.0, 0.5  # Oxford-IIIT Pet at 256 pixels takes about 4 GB with its archives
ENOUGH_SHARED_GB = 1.0  # batches of 64 images of 256 pixels: 17 MB each, two for each of some 16 workers


def git() -> Result:
    """The project is in a git repository with a commit, as DVC needs it."""
    problem = _preflight("git_problem")
    return (ERROR, problem) if problem else (OK, "a repository with a commit")


def identity() -> Result:
    """Git knows who commits."""
    problem = _preflight("identity_warning")
    return (WARNING, problem) if problem else (OK, "git knows your name and email")


def _preflight(name: str) -> Any:
    """What a function of tools/preflight.py returns, which cannot be imported: it also runs without petseg."""
    return runpy.run_path(str(PREFLIGHT))[name]()


def dvc() -> Result:
    """The command `dvc` can be found and is recent."""
    command, env = find_dvc()
    done = subprocess.run([command, "--version"], env=env, capture_output=True, text=True)
    found = re.match(r"(\d+)\.(\d+)", done.stdout)
    if not found:
        return ERROR, f"`{command} --version` fails; run `make setup` again"
    if tuple(map(int, found.groups())) < OLDEST_DVC:
        needed = ".".join(map(str, OLDEST_DVC))
        return ERROR, f"{command} is version {done.stdout.strip()}, older than {needed}; activate the environment"
    return OK, f"{done.stdout.strip()}, {command}"


def parameters() -> Result:
    """params.yaml is valid."""
    params.load()
    return OK, "params.yaml is valid"


def environment() -> Result:
    """The variables PETSEG_* are valid, and the folder of the locks on GPUs and cores can hold locks."""
    machine.check_environment()
    folder = machine.locks()
    path = folder / f"petseg-doctor-{os.getpid()}.lock"
    try:
        lock = try_lock(path)
        path.unlink(missing_ok=True)
    except OSError as error:
        cure = f"make {folder} writable for all users, or set PETSEG_LOCKS to another folder"
        return ERROR, f"no file in {folder} can be locked ({error.strerror}); {cure}"
    if lock:
        lock.close()
    variables = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("PETSEG_")]
    return OK, f"{', '.join(variables) or 'no variable PETSEG_* is set'}; files in {folder} can be locked"


def folders() -> Result:
    """No file is in the place of a folder that the stages write to."""
    files = [name for name in FOLDERS if Path(name).is_file()]
    if files:
        return ERROR, f"{', '.join(files)}: a file, but the stages need a folder there; rename it"
    return OK, "no file is in the place of an output folder"


def disk() -> Result:
    """The disk of the project has space for the outputs."""
    free = shutil.disk_usage(".").free / GB
    text = f"{free:.1f} GB are free in {Path.cwd()}"
    if free < ENOUGH_GB:
        cure = "free some, for example by `dvc gc --workspace`"
        status = ERROR if free < LEAST_GB else WARNING
        return status, f"{text}, but Oxford-IIIT Pet at 256 pixels needs about {ENOUGH_GB:g}; {cure}"
    return OK, text


def shared_memory() -> Result:
    """/dev/shm can hold the batches that data-loading workers hand to a training on a GPU."""
    path = Path("/dev/shm")
    if not path.is_dir():
        return OK, "this system has no /dev/shm"
    free = shutil.disk_usage(path).free / GB
    if free < ENOUGH_SHARED_GB and _nvidia_smi():
        cure = "start the container with --shm-size=2g, or set PETSEG_WORKERS to a small number"
        return WARNING, f"{free:.2f} GB are free in {path}, which may not hold the batches for a GPU; {cure}"
    return OK, f"{free:.2f} GB are free in {path}"


def gpu() -> Result:
    """PyTorch can use the GPUs that the driver shows."""
    shown = _nvidia_smi()
    if not shown:
        return OK, "no NVIDIA GPU; the CPU is used"
    import torch  # takes seconds, and is needed only here

    if torch.cuda.device_count():
        return OK, "; ".join(shown)
    if torch.version.cuda is None:
        why = "this PyTorch was built without CUDA; run `make setup` in a fresh .venv without TORCH_INDEX"
    elif os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        why = "CUDA_VISIBLE_DEVICES is empty; unset it"
    else:
        why = f"the driver may be too old for CUDA {torch.version.cuda}; update it"
    return WARNING, f"{'; '.join(shown)}: PyTorch cannot use it, so the CPU is used: {why}"


def _nvidia_smi() -> list[str]:
    """Name, memory and driver of each GPU, a line each; empty without GPU or driver."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


def archives() -> Result:
    """The downloaded archives of Oxford-IIIT Pet are complete."""
    digests = params.load().data.md5
    found = [_archive("images.tar.gz", digests.images), _archive("annotations.tar.gz", digests.annotations)]
    status = WARNING if any(status == WARNING for status, _ in found) else OK
    return status, "; ".join(text for _, text in found)


def _archive(name: str, md5: str) -> Result:
    path = download.cache_path(name, md5)
    if path.is_file():
        if download.file_md5(path) == md5:
            return OK, f"{path} is complete"
        return WARNING, f"{path} does not have its MD5; `data.source: oxford` downloads it again"
    part = download.part_path(path)
    if part.is_file():
        return OK, f"{name} is incomplete, {part.stat().st_size / 1e6:.1f} MB are in {part}; the download will resume"
    return OK, f"{name} was not downloaded to {path.parent}"
