"""What the benchmarks share: figures of a process of its own, a clock, and where and what was measured."""

import json
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from petseg.report import provenance
from petseg.runtime import machine

ROOT = Path(__file__).resolve().parents[1]
WARM_UP = 16  # steps before the clock starts: a whole group of batches, see petseg.batches.on_device.InGroups


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


class Clock:
    """Starts after a few batches, stops after some seconds."""

    def __init__(self, task: dict, device: torch.device) -> None:
        self.seconds, self.warm_up, self.device = task["seconds"], WARM_UP * task["batch"], device
        self.first: tuple[float, int, float] | None = None
        self.last = (0.0, 0, 0.0)  # time, images, seconds waited

    def ends(self, seen: int, waited: float) -> bool:
        """Takes the time after a step; True when there have been enough."""
        if self.first is None:
            if seen >= self.warm_up:
                self.first = (self.now(), seen, waited)
            return False
        done = time.perf_counter() - self.first[0] >= self.seconds
        if done:
            self.last = (self.now(), seen, waited)
        return done

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def result(self) -> dict:
        seconds, seen, waited = (last - first for first, last in zip(self.first, self.last, strict=True))
        return {"rate": seen / seconds, "waited": waited / seconds, "memory": memory(self.device)}


def loader_rate(loader: DataLoader, seconds: float) -> dict:
    """Images a second that come out of a loader when nobody trains; all cores prepare them."""
    count, started = 0, None
    while True:
        for batch, _ in loader:
            if started is None:
                started = time.perf_counter()
                continue
            count += len(batch)
            if time.perf_counter() - started >= seconds:
                return {"rate": count / (time.perf_counter() - started)}


def training_flops(network: nn.Module, size: int) -> int:
    """Of training on one image: multiplications and additions, each counted, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        network.train()(torch.zeros(2, 3, size, size)).sum().backward()
    return counter.get_total_flops() // 2


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
    """The commit that is checked out, with a + if there are edits; unknown where there is no repository."""
    made = provenance.commit(ROOT)
    return made.sha[:7] + ("+" if made.changed else "")
