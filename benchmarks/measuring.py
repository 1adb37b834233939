"""Shared by the benchmarks: measurements in processes of their own, and a description of commit and machine."""

import json
import os
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from petseg.config.training import Training
from petseg.runtime import machine, provenance

ROOT = Path(__file__).resolve().parents[1]


def measure(script: Path, what: str, task: dict, limit: float | None = None) -> dict[str, float]:
    """Runs `script --child WHAT TASK` and returns the JSON object in the last line of its output.

    The script imports petseg from its own checkout, whichever one is installed. A failure, or running longer than
    `limit` seconds, ends this process.
    """
    command = [sys.executable, str(script), "--child", what, json.dumps(task)]
    paths = [str(script.resolve().parents[1] / "src"), os.environ.get("PYTHONPATH", "")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        sys.exit(f"{what} in {script} ran longer than {limit:.0f} s")
    if done.returncode != 0:
        sys.exit(f"{what} in {script} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def medians(measures: list[tuple[Path, str, dict]], rounds: int) -> list[dict[str, float]]:
    """Repeats several measurements (script, what, task) in turns, `rounds` times; returns the medians of each."""
    runs = [[measure(*each) for each in measures] for _ in range(rounds)]
    return [{key: statistics.median(run[i][key] for run in runs) for key in runs[0][i]} for i in range(len(measures))]


def training_flops(network: nn.Module, size: int) -> int:
    """Floating-point operations per image, forward and backward; a multiply-add is two.

    Args:
        network: may be on the meta device, which computes nothing.
        size: height and width of the image.
    """
    images = torch.zeros(2, 3, size, size, device=next(network.parameters()).device)
    with FlopCounterMode(display=False) as counter:
        network.train()(images).sum().backward()
    return counter.get_total_flops() // 2


def seconds_to(dice: float, curve: pd.DataFrame, seconds: float, training: Training) -> float | None:
    """Training time until an epoch first reaches a validation Dice; None if none does.

    Epochs take time in proportion to the pixels of their images, which grow with progressive resizing.

    Args:
        curve: plots/train/NAME.csv.
        seconds: of the whole training.
        training: its parameters.
    """
    reached = curve.loc[curve["valid_dice"] >= dice, "epoch"]
    if reached.empty:
        return None
    pixels = [training.size_at(epoch) ** 2 for epoch in range(training.epochs)]
    return seconds * sum(pixels[: reached.iloc[0]]) / sum(pixels[: len(curve)])


def headline() -> str:
    """Date, commit, processor and version of torch."""
    facts = machine.describe(machine.device())
    cores = f", {machine.cores()} cores" if facts["device"] == "cpu" else ""
    return f"{datetime.now(UTC):%Y-%m-%d}, commit {commit()}, {facts['device_name']}{cores}, torch {facts['torch']}"


def commit(root: Path = ROOT) -> str:
    """The commit that is checked out in `root`, with a + if files differ; unknown outside a repository."""
    current = provenance.commit(root)
    return current.sha[:7] + ("+" if current.changed else "")
