"""Compares recipes on the same data, with the same image size, budget and seeds, and prints a table.

    python benchmarks/systems.py a b c d laptop --size 64 --seconds 180 --seeds 0 1 2
    python benchmarks/systems.py c "c:train.augment=none;loss.dice=0" --size 64 --epochs 30

The budget is a number of epochs, or a training time per network on this machine; two short pilot trainings per network
then estimate how many epochs fit. Every training, also a pilot, is a DVC experiment, so a second call repeats nothing
and prints the same table. `RECIPE:key=value;key=value` is a recipe with changed parameters.
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
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from io import StringIO
from pathlib import Path

import dvc.api
import pandas as pd
import torch

from measuring import headline, seconds_to, training_flops
from petseg import models
from petseg.config import params
from petseg.config.networks import NETWORKS
from petseg.recipes import catalog
from petseg.recipes import run as recipe_run
from petseg.runtime import machine

COMPLETE = 50  # test images of a breed that is complete in a part of the data set
MOST_EPOCHS = 5000  # that params.yaml allows
PILOT_SECONDS = 30  # by about which the second pilot is longer than the first


@dataclass(frozen=True)
class System:
    """A recipe, possibly with changes, on the data and at the image size of the comparison."""

    spec: str  # RECIPE or RECIPE:key=value;key=value
    common: tuple[str, ...]  # key=value, the same for all systems

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
        """The experiment that trains each network for its number of `epochs`."""
        lengths = [f"{network}.epochs={count}" for network, count in epochs.items()]
        changes = [*self.overrides, *lengths, f"seed={seed}"]
        return Experiment(self.recipe, tuple(recipe_run.settings(self.recipe, changes)))


@dataclass(frozen=True)
class Experiment:
    """A DVC experiment. Its name is determined by the commit it starts from and by its settings."""

    recipe: str
    settings: tuple[str, ...]  # arguments of `dvc exp run -S`

    @property
    def name(self) -> str:
        return f"{self.recipe}-{head()[:7]}-{hashlib.sha256(json.dumps(self.settings).encode()).hexdigest()[:8]}"

    @property
    def revision(self) -> str | None:
        """The commit with its results; None if it has not run."""
        found = run("git", "for-each-ref", "--format=%(objectname)", f"refs/exps/{head()[:2]}/{head()[2:]}/{self.name}")
        return found.strip() or None

    def read(self, path: str) -> str:
        """The text of one of its files."""
        assert self.revision is not None, f"{self.name} has not run"
        return read(path, self.revision)

    def facts(self, network: str) -> dict:
        """Facts of a network's training: seconds, images_per_second, precision, device_name ..."""
        return json.loads(self.read(f"models/{network}.run.json"))

    def epochs(self, network: str) -> pd.DataFrame:
        """One row per epoch of a network's training."""
        return pd.read_csv(StringIO(self.read(f"plots/train/{network}.csv")))

    def dice(self, network: str) -> tuple[float, float, float]:
        """Dice of the weights that were kept: of valid, of test, and of the test images of complete breeds."""
        valid = json.loads(self.read(f"metrics/train_{network}.json"))[network]["valid_dice"]
        scores = pd.read_csv(StringIO(self.read("plots/test/scores.csv"))).to_dict("records")
        sizes = Counter(row["breed"] for row in scores)
        complete = [row[network] for row in scores if sizes[row["breed"]] >= COMPLETE]
        return valid, statistics.mean(row[network] for row in scores), statistics.mean(complete)


@cache
def read(path: str, revision: str) -> str:
    """The text of a file in a revision, from git or from DVC's cache; takes about a second."""
    return dvc.api.read(path, rev=revision)


@cache
def head() -> str:
    """The commit that all experiments start from."""
    return run("git", "rev-parse", "HEAD").strip()


def run(*command: str) -> str:
    """Returns what a `git` or `dvc` command prints.

    Raises:
        SystemExit: it failed; the message contains its output.
    """
    program, env = recipe_run.dvc() if command[0] == "dvc" else ("git", os.environ)
    done = subprocess.run([program, *command[1:]], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[:4])} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def run_all(wanted: list[Experiment], jobs: int) -> None:
    """Runs the experiments that have not run yet, `jobs` at a time, each with an equal share of the cores."""
    missing = {each.name: each for each in wanted if each.revision is None}
    for name in stranded(missing):
        run("dvc", "queue", "kill", "--force", name)  # its state is Failed then
    listed = states()
    for name, each in missing.items():
        if listed.get(name) == "Failed":  # in an earlier call: try again
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
    """The state of each experiment in DVC's queue by name: Queued, Running, Success or Failed."""
    rows = [line.split() for line in run("dvc", "queue", "status").splitlines()[1:-1]]
    return {row[1]: row[-1] for row in rows if len(row) > 3}


def stranded(names: Collection[str]) -> list[str]:
    """The experiments that DVC lists as running although no worker of its queue is alive, as after a power cut."""
    if "Worker status: 0 active" not in run("dvc", "queue", "status"):
        return []
    return [name for name, state in states().items() if state == "Running" and name in names]


def epochs_that_fit(systems: list[System], seconds: float, capped: bool, jobs: int) -> list[dict[str, int]]:
    """Estimates for each system and network how many epochs, including validation, fit into a training time.

    The first steps of a training are slow. So there are two pilots of different lengths: the difference of their times
    gives the time per epoch, and what remains of the first one's is spent once per training.

    Args:
        capped: do not exceed the number of epochs of the recipe.
    """
    short = [dict.fromkeys(NETWORKS, 2) for _ in systems]
    short_seconds = training_seconds(systems, short, jobs)
    long = [{n: 2 + max(4, round(2 * PILOT_SECONDS / each[n])) for n in NETWORKS} for each in short_seconds]
    long_seconds = training_seconds(systems, long, jobs)
    fitting = []
    for i, system in enumerate(systems):
        epochs = {}
        for n in NETWORKS:
            per_epoch = (long_seconds[i][n] - short_seconds[i][n]) / (long[i][n] - 2)
            most = system.params.training(n).epochs if capped else MOST_EPOCHS
            fits = long[i][n] + round((seconds - long_seconds[i][n]) / per_epoch)
            epochs[n] = max(2, min(most, fits))
        fitting.append(epochs)
    return fitting


def training_seconds(systems: list[System], epochs: list[dict[str, int]], jobs: int) -> list[dict[str, float]]:
    """Measures how long each network of each system trains for so many epochs."""
    pilots = [system.experiment(each, seed=0) for system, each in zip(systems, epochs, strict=True)]
    run_all(pilots, jobs)
    return [{n: pilot.facts(n)["seconds"] for n in NETWORKS} for pilot in pilots]


@dataclass(frozen=True)
class Result:
    """One network of one system, trained with several seeds."""

    network: str
    system: System
    runs: list[Experiment]

    @cached_property
    def curves(self) -> list[pd.DataFrame]:
        return [run.epochs(self.network) for run in self.runs]

    def dice(self, split: int) -> str:
        """Mean and standard deviation over seeds; `split` is the place in `Experiment.dice`."""
        values = [run.dice(self.network)[split] for run in self.runs]
        spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
        return f"{statistics.mean(values):.4f}{spread}"

    def mean(self, fact: str) -> float:
        return statistics.mean(run.facts(self.network)[fact] for run in self.runs)

    def distinct(self, fact: str) -> str:
        """The values that occur, joined by a slash."""
        return " / ".join(dict.fromkeys(run.facts(self.network)[fact] for run in self.runs))

    def final_valid_dice(self) -> float:
        """Validation Dice after the last epoch, mean over seeds."""
        return statistics.mean(float(curve["valid_dice"].iloc[-1]) for curve in self.curves)

    def seconds_to(self, dice: float) -> str:
        """Training time until an epoch reaches this validation Dice, mean over seeds; – if a seed never does."""
        times = []
        for run, curve in zip(self.runs, self.curves, strict=True):
            training = self.system.params.training(self.network).model_copy(update={"epochs": len(curve)})
            times.append(seconds_to(dice, curve, run.facts(self.network)["seconds"], training))
        return "–" if None in times else f"{statistics.mean(times):.0f}"

    def row(self, target: float) -> str:
        """The row of the table; `target` is the validation Dice of the last column."""
        with torch.device("meta"):
            network = models.build(self.network, self.system.params)
        flops = training_flops(network, self.system.params.image_size)
        cells = [
            NETWORKS[self.network].label,
            self.system.spec,
            self.distinct("device_name"),
            self.distinct("precision"),
            f"{len(self.curves[0])}",
            f"{self.mean('seconds'):.0f}",
            f"{self.mean('images_per_second'):.0f}",
            f"{models.count_parameters(network) / 1e6:.2f}",
            f"{flops / 1e9:.2f}",
            self.dice(0),
            f"**{self.dice(1)}**",
            self.dice(2),
            self.seconds_to(target),
        ]
        return table_row(cells)


COLUMNS = (
    "network",
    "recipe",
    "processor",
    "precision",
    "epochs",
    "seconds",
    "images/s",
    "million parameters",
    "GFLOP/image",
    "valid Dice",
    "test Dice",
    f"test Dice, breeds with {COMPLETE} test images or more",
    "seconds to the first recipe's last valid Dice",
)


def table(systems: list[System], runs: list[list[Experiment]]) -> list[str]:
    """The lines of the table, in Markdown; `runs` has the experiments of each system, one per seed."""
    lines = [table_row(COLUMNS), "|---" * len(COLUMNS) + "|"]
    for network in NETWORKS:
        results = [Result(network, system, done) for system, done in zip(systems, runs, strict=True)]
        lines += [result.row(results[0].final_valid_dice()) for result in results]
    return lines


def times_table(systems: list[System], runs: list[list[Experiment]], levels: list[float]) -> list[str]:
    """A table in Markdown of the seconds until each validation Dice in `levels`."""
    columns = ["network", "recipe", *(f"seconds to valid Dice {level:.2f}" for level in levels)]
    lines = [table_row(columns), "|---" * len(columns) + "|"]
    for network in NETWORKS:
        for system, done in zip(systems, runs, strict=True):
            times = map(Result(network, system, done).seconds_to, levels)
            lines.append(table_row([NETWORKS[network].label, system.spec, *times]))
    return lines


def table_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="+", metavar="RECIPE[:KEY=VALUE;...]", help="recipes to compare")
    parser.add_argument("--size", type=int, required=True, help="height and width of the images, pixels")
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--seconds", type=float, help="training time per network on this machine")
    budget.add_argument("--epochs", type=int, help="epochs per network")
    parser.add_argument("--own-epochs", action="store_true", help="with --seconds: at most the epochs of the recipe")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds to train with, by default 0 1 2")
    parser.add_argument("--jobs", type=int, default=1, help="experiments to run at a time; they share the cores")
    parser.add_argument(
        "-S", dest="common", action="append", default=[], metavar="KEY=VALUE", help="change a parameter of all recipes"
    )
    parser.add_argument(
        "--reach", type=float, nargs="+", default=[0.80, 0.85, 0.88, 0.90], help="validation Dice to time"
    )
    parser.add_argument("--out", type=Path, help="append the output to this file")
    options = parser.parse_args()
    common = (f"image_size={options.size}", *options.common)
    systems = [System(spec, common) for spec in options.systems]
    if options.seconds:
        epochs = epochs_that_fit(systems, options.seconds, options.own_epochs, options.jobs)
    else:
        epochs = [dict.fromkeys(NETWORKS, int(options.epochs)) for _ in systems]
    runs = [
        [system.experiment(each, seed) for seed in options.seeds] for system, each in zip(systems, epochs, strict=True)
    ]
    run_all([run for by_seed in zip(*runs, strict=True) for run in by_seed], options.jobs)
    tables = [*table(systems, runs), "", *times_table(systems, runs, options.reach)]
    lines = [f"\n{headline()}\n\n`{command()}`\n", *tables]
    print("\n".join(lines))
    if options.out:
        with options.out.open("a") as file:
            file.write("\n".join(lines) + "\n")


def command() -> str:
    """The command as typed, without addresses of data."""
    words = [f"{word.partition('=')[0]}=..." if "url=" in word else word for word in sys.argv[1:]]
    return shlex.join(["python", "benchmarks/systems.py", *words])


if __name__ == "__main__":
    main()
