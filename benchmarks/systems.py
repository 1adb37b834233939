"""Compares recipes: the same data at the same size, the same budget for each network, several seeds, through DVC.

    python benchmarks/systems.py a b c d laptop --size 64 --seconds 180 --seeds 0 1 2 -S data.url=file:///FOLDER

The budget is the same number of epochs for all, or the same time of training on this machine: two short trainings of
each network first find how many epochs fit. Everything is an experiment of DVC, the short trainings too, so a second
call repeats nothing and prints the same table. `c:train.augment=none` is a recipe with a change; several are joined
by `;`.
"""

import argparse
import hashlib
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache, cached_property
from io import StringIO
from pathlib import Path

import dvc.api
import pandas as pd

from measuring import headline, training_flops
from petseg import models
from petseg.config import params
from petseg.config.networks import NETWORKS
from petseg.recipes import catalog
from petseg.recipes import run as recipe_run
from petseg.runtime import machine

PILOT_SECONDS = 30  # of training, about, by which the second pilot is longer than the first
LABELS = {"unet": "UNet", "resnet34_unet": "ResNet34-UNet"}


@dataclass(frozen=True)
class System:
    """A recipe, with changes perhaps, on the data and at the size of the comparison."""

    spec: str  # RECIPE or RECIPE:key=value;key=value
    common: tuple[str, ...]  # key=value of all systems

    @property
    def recipe(self) -> str:
        return self.spec.partition(":")[0]

    @property
    def overrides(self) -> list[str]:
        return [*self.common, *filter(None, self.spec.partition(":")[2].split(";"))]

    @cached_property
    def params(self) -> params.Params:
        return params.check(catalog.sources(self.recipe, self.overrides))

    def experiment(self, epochs: dict[str, int], seed: int) -> "Experiment":
        lengths = [f"{network}.epochs={count}" for network, count in epochs.items()]
        changes = [*self.overrides, *lengths, f"seed={seed}"]
        return Experiment(self.recipe, tuple(recipe_run.settings(self.recipe, changes)))


@dataclass(frozen=True)
class Experiment:
    """One experiment of DVC, whose name depends on the commit that it starts from and on all that is set in it."""

    recipe: str
    settings: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.recipe}-{head()[:7]}-{hashlib.sha256(json.dumps(self.settings).encode()).hexdigest()[:8]}"

    @property
    def revision(self) -> str | None:
        """The commit that DVC made of it; None until it has run."""
        found = run("git", "for-each-ref", "--format=%(objectname)", f"refs/exps/{head()[:2]}/{head()[2:]}/{self.name}")
        return found.strip() or None

    def read(self, path: str) -> str:
        return content(path, self.revision)

    def facts(self, network: str) -> dict[str, float]:
        """How a network's training went: seconds, images_per_second."""
        return json.loads(self.read(f"models/{network}.run.json"))

    def epochs(self, network: str) -> pd.DataFrame:
        return pd.read_csv(StringIO(self.read(f"plots/train/{network}.csv")))

    def dice(self, network: str) -> tuple[float, float]:
        """Of the weights that were kept: on valid, on test."""
        valid = json.loads(self.read(f"metrics/train_{network}.json"))[network]["valid_dice"]
        return valid, json.loads(self.read("metrics/test.json"))[network]["dice"]


@cache
def content(path: str, revision: str) -> str:
    """A file of an experiment; DVC takes a second for each."""
    return dvc.api.read(path, rev=revision)


@cache
def head() -> str:
    """The commit that everything here starts from."""
    return run("git", "rev-parse", "HEAD").strip()


def run(*command: str) -> str:
    """What `git` or `dvc` prints.

    Raises:
        SystemExit: it failed; with what it printed.
    """
    program, env = recipe_run.dvc() if command[0] == "dvc" else ("git", os.environ)
    done = subprocess.run([program, *command[1:]], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[:4])} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def run_all(wanted: list[Experiment], jobs: int) -> None:
    """Runs those that have not run yet, `jobs` at a time, each with its share of the cores."""
    missing = {each.name: each for each in wanted if each.revision is None}
    for name in stranded(missing):
        run("dvc", "queue", "kill", "--force", name)  # which makes it a failed one
    listed = states()
    for name, each in missing.items():
        if listed.get(name) == "Failed":  # in an earlier call
            run("dvc", "queue", "remove", name)
        if listed.get(name) not in ("Queued", "Running"):
            run("dvc", "exp", "run", "--queue", "--name", name, *(x for s in each.settings for x in ("-S", s)))
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "PETSEG_WORKERS"), str(max(1, machine.cores() // jobs)))
    while waiting := {name: state for name, state in states().items() if name in missing and state != "Success"}:
        if "Failed" in waiting.values():
            name = next(name for name, state in waiting.items() if state == "Failed")
            sys.exit(f"{name} failed:\n{run('dvc', 'queue', 'logs', name)}")
        if "Running" not in waiting.values():
            run("dvc", "queue", "start", "--jobs", str(jobs))
        time.sleep(5)


def states() -> dict[str, str]:
    """Of every experiment in DVC's queue: Queued, Running, Success or Failed."""
    rows = [line.split() for line in run("dvc", "queue", "status").splitlines()[1:-1]]
    return {row[1]: row[-1] for row in rows if len(row) > 3}


def stranded(names: Collection[str]) -> list[str]:
    """Those that DVC takes to be running, but no worker of its queue is: all was killed, or the machine went down."""
    if "Worker status: 0 active" not in run("dvc", "queue", "status"):
        return []
    return [name for name, state in states().items() if state == "Running" and name in names]


def epochs_that_fit(systems: list[System], seconds: float, capped: bool, jobs: int) -> list[dict[str, int]]:
    """For each system and network, how many epochs of training, validation included, take so long here.

    The first steps are slow, so there are two pilots of different lengths: their difference is the time of some epochs,
    and what else the first one took is spent once in any training.

    Args:
        capped: at most as many as the recipe says.
    """
    short = [dict.fromkeys(NETWORKS, 2) for _ in systems]
    first = _seconds(systems, short, jobs)
    long = [{n: 2 + max(4, round(2 * PILOT_SECONDS / took[n])) for n in took} for took in first]
    second = _seconds(systems, long, jobs)
    fitting = []
    for system, took, epochs, took_longer in zip(systems, first, long, second, strict=True):
        lengths = {}
        for n in NETWORKS:
            one = (took_longer[n] - took[n]) / (epochs[n] - 2)
            most = system.params.training(n).epochs if capped else 5000
            lengths[n] = max(2, min(most, round((seconds - took_longer[n]) / one) + epochs[n]))
        fitting.append(lengths)
    return fitting


def _seconds(systems: list[System], lengths: list[dict[str, int]], jobs: int) -> list[dict[str, float]]:
    """How long each network's training of so many epochs takes."""
    pilots = [system.experiment(length, seed=0) for system, length in zip(systems, lengths, strict=True)]
    run_all(pilots, jobs)
    return [{n: pilot.facts(n)["seconds"] for n in NETWORKS} for pilot in pilots]


@dataclass(frozen=True)
class Line:
    """One network of one system over all seeds."""

    network: str
    system: System
    runs: list[Experiment]

    def dice(self, split: int) -> str:
        """Mean and spread, split 0 valid, 1 test."""
        values = [run.dice(self.network)[split] for run in self.runs]
        spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
        return f"{statistics.mean(values):.4f}{spread}"

    def mean(self, key: str) -> float:
        return statistics.mean(run.facts(self.network)[key] for run in self.runs)

    @cached_property
    def curves(self) -> list[pd.DataFrame]:
        return [run.epochs(self.network) for run in self.runs]

    def final_valid(self) -> float:
        """Valid Dice after the last epoch, mean over seeds."""
        return statistics.mean(float(curve["valid_dice"].iloc[-1]) for curve in self.curves)

    def seconds_to(self, dice: float) -> str:
        """Mean over seeds of the training time until an epoch ends with that valid Dice; – if one never does."""
        times = []
        for each, curve in zip(self.runs, self.curves, strict=True):
            reached = curve["epoch"][curve["valid_dice"] >= dice]
            if reached.empty:
                return "–"
            times.append(each.facts(self.network)["seconds"] * int(reached.iloc[0]) / len(curve))
        return f"{statistics.mean(times):.0f}"

    def row(self, target: float) -> str:
        network = models.build(self.network, self.system.params)
        flops = training_flops(network, self.system.params.image_size)
        cells = [
            LABELS[self.network],
            self.system.spec,
            f"{len(self.curves[0])}",
            f"{self.mean('seconds'):.0f}",
            f"{self.mean('images_per_second'):.0f}",
            f"{models.count_parameters(network) / 1e6:.2f}",
            f"{flops / 1e9:.2f}",
            self.dice(0),
            f"**{self.dice(1)}**",
            self.seconds_to(target),
        ]
        return f"| {' | '.join(cells)} |"


COLUMNS = (
    "network, recipe, epochs, seconds, images/s, million parameters, GFLOP/image, valid Dice, test Dice, "
    "seconds to the first recipe's last valid Dice"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="+", metavar="RECIPE[:key=value;...]")
    parser.add_argument("--size", type=int, required=True, help="pixels a side, of all")
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--seconds", type=float, help="of training a network, on this machine")
    budget.add_argument("--epochs", type=int, help="of training a network")
    parser.add_argument("--own-epochs", action="store_true", help="with --seconds: no more epochs than the recipe's")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="experiments at a time, each with its share of the cores")
    parser.add_argument("-S", dest="common", action="append", default=[], metavar="KEY=VALUE", help="of all")
    parser.add_argument("--out", type=Path, help="append to this file too")
    options = parser.parse_args()
    common = (f"image_size={options.size}", *options.common)
    systems = [System(spec, common) for spec in options.systems]
    if options.seconds:
        lengths = epochs_that_fit(systems, options.seconds, options.own_epochs, options.jobs)
    else:
        lengths = [dict.fromkeys(NETWORKS, options.epochs) for _ in systems]
    runs = [
        [system.experiment(length, seed) for seed in options.seeds]
        for system, length in zip(systems, lengths, strict=True)
    ]
    run_all([each for by_seed in zip(*runs, strict=True) for each in by_seed], options.jobs)
    lines = [f"\n{headline()}\n\n`{command()}`\n", f"| {COLUMNS.replace(', ', ' | ')} |", "|---" * 10 + "|"]
    for network in NETWORKS:
        block = [Line(network, system, done) for system, done in zip(systems, runs, strict=True)]
        lines += [line.row(block[0].final_valid()) for line in block]
    print("\n".join(lines))
    if options.out:
        with options.out.open("a") as file:
            file.write("\n".join(lines) + "\n")


def command() -> str:
    """As it was typed, but for addresses of this machine."""
    words = [f"{word.partition('=')[0]}=..." if "url=" in word else word for word in sys.argv[1:]]
    return shlex.join(["python", "benchmarks/systems.py", *words])


if __name__ == "__main__":
    main()
