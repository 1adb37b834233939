"""Measures petseg on a GPU within a time limit: tests, speed, whole trainings and prediction.

    python benchmarks/gpu.py --data ARCHIVES --out RESULTS --minutes 25

ARCHIVES is a folder with images.tar.gz and annotations.tar.gz, of Oxford-IIIT Pet or of a part of it. Neither DVC, git
nor a network is needed. Parts run in order of value. Each writes RESULTS/NAME.json as soon as it is known, and
RESULTS/report.md is written again. A second call runs the parts that are missing or failed.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

import speed
from measuring import ROOT, headline, measure, seconds_to, training_flops
from petseg import load
from petseg.config import params
from petseg.config.networks import NETWORKS
from petseg.config.overrides import flatten, read, recipe_path
from petseg.data import layout
from petseg.recipes.yaml_edit import edited
from petseg.runtime import download, machine
from petseg.runtime.errors import PetsegError

HERE = Path(__file__)
PARAMS = ROOT / "params.yaml"
OURS, REPORTS = "oxford", ("a", "b", "c", "d")
SHARES = {OURS: 0.36} | dict.fromkeys(REPORTS, 0.08)  # of all minutes, for the trainings of a recipe
ARCHIVES = ("images.tar.gz", "annotations.tar.gz")
PLAIN_BATCH = 128
LONGEST = 120  # seconds of a measurement of speed, with the start of its process
DICE = (0.80, 0.85, 0.88, 0.90, 0.92)
VARIANTS = {
    "": [],
    "deterministic": ["train.deterministic=true"],
    "compile": ["train.compile=true"],
}


@dataclass(frozen=True)
class Bench:
    """What was asked for on the command line, and when the time is over."""

    data: Path
    out: Path
    size: int
    width: int
    batches: list[int]
    seconds: float  # length of a measurement of speed
    total: float  # seconds for everything
    deadline: float  # of time.monotonic

    @property
    def left(self) -> float:
        return self.deadline - time.monotonic()

    def run(self, command: list[str], folder: Path, limit: float) -> str:
        """Runs a command for at most `limit` seconds; returns its output, or raises RuntimeError with the end of it."""
        limit = min(limit, self.left)
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=max(1, limit))
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{' '.join(command[1:])} ran longer than {limit:.0f} s") from None
        if done.returncode:
            raise RuntimeError(f"{' '.join(command[1:])} failed: {(done.stdout + done.stderr)[-1000:]}")
        return done.stdout

    def stage(self, folder: Path, script: str, *arguments: str, limit: float = 1e9) -> str:
        return self.run([sys.executable, str(ROOT / "stages" / script), *arguments], folder, limit)

    def write_params(self, folder: Path, recipe: str, changes: dict) -> None:
        """Writes params.yaml with a recipe, the data, and changes."""
        folder.mkdir(parents=True, exist_ok=True)
        values = flatten(read(recipe_path(ROOT, recipe)).values) | {
            "data.url": [self.data.resolve().as_uri()],
            "image_size": self.size,
            "train.deterministic": False,
        }
        digests = {name.partition(".")[0]: download.file_md5(self.data / name) for name in ARCHIVES}
        values |= {f"data.md5.{name}": digest for name, digest in digests.items()}
        if self.width != 64:
            values |= {f"{name}.width": self.width for name in NETWORKS}
        (folder / "params.yaml").write_text(edited(PARAMS.read_text(), values | changes))


def measure_machine(bench: Bench) -> dict:
    return machine.describe(machine.device()) | {"matrix_product": measure(HERE, "matrix product", {})["flops"]}


def prepare(bench: Bench) -> dict:
    """Unpacks and packs the data; all trainings use them."""
    bench.write_params(bench.out / "work", OURS, {})
    told = [bench.stage(bench.out / "work", script) for script in ("fetch_data.py", "split.py")]
    return {"told": told[-1].strip()}


def run_tests(bench: Bench) -> dict:
    output = bench.run([sys.executable, "-m", "pytest", "-m", "gpu"], ROOT, 180)
    return {"told": output.splitlines()[-1]}


def measure_speed(bench: Bench, network: str, batch: int, variant: str) -> dict:
    """Training speed of one network; `variant` is a key of VARIANTS, or `plain loop`."""
    folder = bench.out / "packed"
    if not folder.exists():
        folder.mkdir()
        speed.pack(bench.out / "work" / layout.RAW, bench.size, folder)
    precision = "bf16" if machine.device().type == "cuda" else "fp32"
    settings = [f"{network}.width={bench.width}", f"train.precision={precision}", f"batch_size={batch}"]
    settings += ["train.deterministic=false", *VARIANTS.get(variant, [])]
    task = {"raw": str((bench.out / "work" / layout.RAW).resolve()), "packed": str(folder.resolve()), "plan": {}}
    task |= {"size": bench.size, "seconds": bench.seconds, "network": network, "batch": batch, "set": settings}
    what = "plain train" if variant == "plain loop" else "our train"
    result = measure(speed.HERE, what, task, limit=min(bench.left, LONGEST))
    return result | {"flops": training_flops(speed.network_of(task), bench.size)}


def train(bench: Bench, recipe: str) -> dict:
    """Trains both networks of a recipe for as many epochs as fit into its time, and scores them."""
    folder = bench.out / recipe
    (folder / "data").parent.mkdir(exist_ok=True)
    if not (folder / "data").exists():
        (folder / "data").symlink_to((bench.out / "work" / "data").resolve())
    seconds = SHARES[recipe] * bench.total / len(NETWORKS)
    epochs = {}
    for network in NETWORKS:
        key = f"{network}.epochs"
        bench.write_params(folder, recipe, epochs | {key: 2})
        bench.stage(folder, "train.py", network)
        run = json.loads((folder / "models" / f"{network}.run.json").read_text())
        most = params.load(PARAMS, recipe=recipe).training(network).epochs
        epochs[key] = max(2, min(most, int(0.9 * (seconds - run["seconds"]) / (run["seconds"] / 2))))
        bench.write_params(folder, recipe, epochs)
        bench.stage(folder, "train.py", network)
    bench.stage(folder, "evaluate.py")
    test = json.loads((folder / "metrics" / "test.json").read_text())
    return {network: trained(folder, network) | test[network] for network in NETWORKS}


def trained(folder: Path, network: str) -> dict:
    """Facts about a finished training, and the seconds until the validation Dice first reached each of DICE."""
    run = json.loads((folder / "models" / f"{network}.run.json").read_text())
    curve = pd.read_csv(folder / "plots" / "train" / f"{network}.csv")
    training = params.load(folder / "params.yaml").training(network)
    times = {f"{dice:.2f}": seconds_to(dice, curve, run["seconds"], training) for dice in DICE}
    reached = {dice: seconds for dice, seconds in times.items() if seconds is not None}
    facts = {key: run[key] for key in ("seconds", "images_per_second", "waited_for_data", "precision")}
    return facts | {"epochs": len(curve), "seconds_to": reached}


def predict(bench: Bench) -> dict:
    folder = (bench.out / OURS / "models").resolve()
    tasks = {name: {"weights": f"{folder / name}.safetensors", "seconds": bench.seconds} for name in NETWORKS}
    return {name: measure(HERE, "predict", task) for name, task in tasks.items()}


def matrix_product(task: dict) -> dict[str, float]:
    """Floating-point operations per second of a large matrix product, in bfloat16 on a GPU."""
    device = machine.device()
    size, dtype = (8192, torch.bfloat16) if device.type == "cuda" else (1024, torch.float32)
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    rates = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(10):
            torch.mm(a, b)
        if device.type == "cuda":
            torch.cuda.synchronize()
        rates.append(10 * 2 * size**3 / (time.perf_counter() - start))
    return {"flops": max(rates)}


def predict_arrays(task: dict) -> dict[str, float]:
    """Photographs per second of `predict` for a list of arrays of 500 x 375 pixels."""
    model = load(task["weights"])
    photos: list = [torch.randint(0, 256, (375, 500, 3), dtype=torch.uint8).numpy() for _ in range(256)]
    return speed.repeat(lambda: list(model.predict(photos)), len(photos), task)


MEASURES = {"matrix product": matrix_product, "predict": predict_arrays}
Part = tuple[str, Callable[[], dict]]


def parts(bench: Bench) -> Iterator[Part]:
    """Names and functions of all parts, the most valuable first."""
    yield "machine", lambda: measure_machine(bench)
    yield "data", lambda: prepare(bench)
    yield "tests", lambda: run_tests(bench)
    variants = [("", batch) for batch in bench.batches]
    middle = PLAIN_BATCH if PLAIN_BATCH in bench.batches else bench.batches[0]
    variants += [(variant, middle) for variant in ("plain loop", "deterministic", "compile")]
    for variant, batch in variants:
        for network in NETWORKS:
            name = f"speed {network} {batch} {variant}".strip()
            yield name, lambda n=network, b=batch, v=variant: measure_speed(bench, n, b, v)
    yield OURS, lambda: train(bench, OURS)
    yield "predict", lambda: predict(bench)
    for recipe in REPORTS:
        yield recipe, lambda r=recipe: train(bench, r)


def run_parts(bench: Bench) -> None:
    """Runs every part that has no result yet, until the time is over; a part that fails is told and left out."""
    for name, measured in parts(bench):
        path = bench.out / f"{name}.json"
        if path.exists():
            continue
        if bench.left <= 0:
            print(f"{name}: no time left")
            continue
        start = time.monotonic()
        try:
            result = measured()
        except (RuntimeError, PetsegError, SystemExit) as error:  # SystemExit: from `measure`
            print(f"{name}: {error}", flush=True)
            continue
        path.write_text(json.dumps(result, indent=2))
        print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)
        (bench.out / "report.md").write_text(report(bench))


def report(bench: Bench) -> str:
    """All results so far, in Markdown."""
    paths = {name: bench.out / f"{name}.json" for name, _ in parts(bench)}
    found = {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}
    lines = [f"{headline()}; {bench.size} pixels, width {bench.width}", ""]
    lines += [f"{name}: {found[name]['told']}" for name in ("data", "tests") if name in found]
    peak = found.get("machine", {}).get("matrix_product")
    lines += ["", speed.head("network, batch, settings, images/s, of a matrix product, waiting, GiB")]
    lines += [speed_row(name, result, peak) for name, result in found.items() if name.startswith("speed")]
    reached = ", ".join(f"s to {dice:.2f}" for dice in DICE)
    lines += ["", speed.head(f"recipe, network, test Dice, interval, epochs, seconds, images/s, waiting, {reached}")]
    for recipe in (OURS, *REPORTS):
        lines += [training_row(recipe, network, each) for network, each in found.get(recipe, {}).items()]
    for network, each in found.get("predict", {}).items():
        lines += ["", f"predict, arrays of 500 x 375, {network}: {each['rate']:.0f} images/s"]
    return "\n".join(lines) + "\n"


def speed_row(name: str, result: dict, peak: float | None) -> str:
    """One row of the table of speeds; `peak`: floating-point operations per second of a matrix product."""
    _, network, batch, *variant = name.split(maxsplit=3)
    share = f"{result['flops'] * result['rate'] / peak:.0%}" if peak else "–"
    cells = [network, batch, "".join(variant), f"{result['rate']:.0f}", share]
    cells += [f"{result['waited']:.1%}", f"{result['memory']:.1f}"]
    return f"| {' | '.join(cells)} |"


def training_row(recipe: str, network: str, result: dict) -> str:
    """One row of the table of trainings."""
    interval = f"{result['dice_low']:.4f} to {result['dice_high']:.4f}" if "dice_low" in result else "–"
    reached = {float(dice): f"{seconds:.0f}" for dice, seconds in result["seconds_to"].items()}
    cells = [recipe, network, f"{result['dice']:.4f}", interval, f"{result['epochs']}", f"{result['seconds']:.0f}"]
    cells += [f"{result['images_per_second']:.0f}", f"{result['waited_for_data']:.1%}"]
    cells += [reached.get(dice, "–") for dice in DICE]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with images.tar.gz and annotations.tar.gz")
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument("--minutes", type=float, default=25, help="time for everything")
    parser.add_argument("--size", type=int, default=256, help="height and width of the images, pixels")
    parser.add_argument("--width", type=int, default=64, help="of the networks")
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 128, 256], help="images per batch, for speed")
    parser.add_argument("--seconds", type=float, default=5, help="length of each measurement of speed")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(MEASURES[options.child[0]](json.loads(options.child[1]))))
        return
    if options.data is None or options.out is None:
        parser.error("name --data and --out")
    if missing := [name for name in ARCHIVES if not (options.data / name).is_file()]:
        parser.error(f"{options.data} has no {' and no '.join(missing)}")
    options.out.mkdir(parents=True, exist_ok=True)
    total = 60 * options.minutes
    deadline = time.monotonic() + total
    run_parts(
        Bench(options.data, options.out, options.size, options.width, options.batch, options.seconds, total, deadline)
    )
    print((options.out / "report.md").read_text())


if __name__ == "__main__":
    main()
