"""What the benchmarks share: figures of a process of its own, and where and what was measured."""

import json
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import torch

from petseg import machine

ROOT = Path(__file__).resolve().parents[1]


def measure(script: str, what: str, task: dict) -> dict[str, float]:
    """Runs `script --child WHAT TASK` as a process of its own; the JSON that it prints last."""
    command = [sys.executable, script, "--child", what, json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{what} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def medians(script: str, task: dict, rounds: int, *measures: str) -> list[dict[str, float]]:
    """The medians of each of these measures, taken `rounds` times in turns."""
    runs = [[measure(script, what, task) for what in measures] for _ in range(rounds)]
    return [{key: statistics.median(run[i][key] for run in runs) for key in runs[0][i]} for i in range(len(measures))]


def memory(device: torch.device) -> float:
    """GiB at the peak: of the GPU's memory, or of this process and its data workers, each page counted in each."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    pids = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
    peaks = [re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1] for pid in pids]
    return sum(map(int, peaks)) / 2**20


def headline() -> str:
    """Day, commit, machine and torch's version."""
    facts = machine.describe(machine.device())
    cores = f", {machine.cores()} cores" if facts["device"] == "cpu" else ""
    return f"{datetime.now(UTC):%Y-%m-%d}, commit {commit()}, {facts['device_name']}{cores}, torch {facts['torch']}"


def commit() -> str:
    """The commit that is checked out, with a + if there are edits."""
    git = ["git", "-C", str(ROOT)]
    name = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
    edits = subprocess.run([*git, "status", "--porcelain", "src"], capture_output=True, text=True, check=True).stdout
    return name.strip() + ("+" if edits else "")
