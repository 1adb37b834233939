"""How the test Dice grows with the number of training images, and what twice as many would bring.

    python benchmarks/learning_curve.py --data ARCHIVES --figure docs/learning_curve.svg

Trains the UNet of a recipe with `split.limit` images: nested random subsets of the train split, other ones for another
seed. Every training sees equally many images in all, as many as `--epochs` epochs with the whole split. The curve
through the mean test errors is a power law with an offset, a n^-b + c (Hestness et al. 2017). ARCHIVES is as for
boxed.py. The stages run in folders below `--work`, so a second call repeats nothing.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import curve_fit

import petseg
from boxed import ARCHIVES, md5, score, write_params
from measuring import ROOT, headline
from petseg.config.networks import NETWORKS
from petseg.data import layout, splits
from petseg.models import weights

NETWORK = "unet"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with images.tar.gz and annotations.tar.gz")
    parser.add_argument("--work", type=Path, default=Path("learning_curve"), help="folder for data and trainings")
    parser.add_argument("--recipe", default="laptop", help="recipe of the trainings")
    parser.add_argument("--size", type=int, default=64, help="height and width of the images, pixels")
    parser.add_argument("--images", type=int, nargs="+", default=[40, 80, 160, 320, 640], help="limits; all are added")
    parser.add_argument("--epochs", type=int, default=20, help="epochs with all images")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds of training and subset")
    parser.add_argument("--figure", type=Path, help="draw the curve into this file")
    options = parser.parse_args()
    everything = prepare(options)
    dice = {
        count: [train(options, count, everything, seed) for seed in options.seeds]
        for count in [*(each for each in options.images if each < everything), everything]
    }
    print("\n".join([headline(), "", *table(dice), "", *forecast(dice)]))
    if options.figure:
        draw(dice, options.figure)


def prepare(options: argparse.Namespace) -> int:
    """Brings the data into `--work`; returns the number of images in the train split."""
    folder = options.work / "all"
    stage(folder, options, {}, "fetch_data.py")
    stage(folder, options, {}, "split.py")
    return splits.read_table(folder / splits.TABLE)["split"].tolist().count("train")


def train(options: argparse.Namespace, count: int, everything: int, seed: int) -> float:
    """Trains with `count` images unless that is done; returns the test Dice at original size with flips."""
    folder = options.work / f"{count}-{seed}"
    changes = settings(count, everything, options.epochs, seed)
    if not (folder / "metrics" / f"train_{NETWORK}.json").exists():
        (folder / "data").mkdir(parents=True, exist_ok=True)
        (folder / layout.RAW).unlink(missing_ok=True)
        (folder / layout.RAW).symlink_to((options.work / "all" / layout.RAW).resolve())
        stage(folder, options, changes, "split.py")
        stage(folder, options, changes, "train.py", NETWORK)
    table = splits.read_table(folder / splits.TABLE)
    network = petseg.load(folder / weights.output(NETWORK))
    return float(score(network, folder, table.query("split == 'test'")["name"].tolist())["flips"].mean())


def settings(count: int, everything: int, epochs: int, seed: int) -> dict:
    """The parameters of a training with `count` images, which sees as many images as `epochs` with all of them."""
    limit = count if count < everything else None
    return {"seed": seed, "split.seed": seed, "split.limit": limit, "epochs": round(epochs * everything / count)}


def stage(folder: Path, options: argparse.Namespace, changes: dict, script: str, *arguments: str) -> None:
    digests = {f"data.md5.{name}": md5(options.data / f"{name}.tar.gz") for name in ARCHIVES}
    source = {"data.url": [options.data.resolve().as_uri()], "image_size": options.size}
    write_params(folder, options.recipe, digests | source | changes)
    subprocess.run([sys.executable, str(ROOT / "stages" / script), *arguments], cwd=folder, check=True)


def table(dice: dict[int, list[float]]) -> list[str]:
    lines = ["| images to train on | seeds | test Dice, mean ± sd | fitted |", "|---|---|---|---|"]
    curve = fit(dice)
    for count, values in dice.items():
        spread = f" ± {stdev(values):.4f}" if len(values) > 1 else ""
        lines.append(f"| {count:,} | {len(values)} | {mean(values):.4f}{spread} | {1 - power_law(count, *curve):.4f} |")
    return lines


def forecast(dice: dict[int, list[float]]) -> list[str]:
    """What the curve says about more images, and how well the same curve without the last point predicts that point."""
    *_, last = dice
    scale, exponent, offset = fit(dice)
    blind = 1 - power_law(last, *fit({count: values for count, values in dice.items() if count != last}))
    return [
        f"Error = {scale:.2f} n^-{exponent:.2f} + {offset:.3f}; with {2 * last:,} images it predicts a test Dice of "
        f"{1 - power_law(2 * last, scale, exponent, offset):.4f}.",
        f"Fitted without the last point, the curve predicts {blind:.4f} for {last:,} images; measured: "
        f"{mean(dice[last]):.4f}.",
    ]


def fit(dice: dict[int, list[float]]) -> np.ndarray:
    """Scale, exponent and offset of the power law through the mean errors."""
    errors = [1 - mean(values) for values in dice.values()]
    found, _ = curve_fit(power_law, list(dice), errors, p0=(1.0, 0.5, 0.05), bounds=(0, (100, 3, 1)), max_nfev=20_000)
    return found


def power_law(images: Any, scale: float, exponent: float, offset: float) -> Any:
    return scale * np.asarray(images, float) ** -exponent + offset


def draw(dice: dict[int, list[float]], path: Path) -> None:
    """Each training as a dot, and the curve up to twice the number of images."""
    plt.rcParams["svg.fonttype"] = "path"
    plt.rcParams["svg.hashsalt"] = "petseg"
    figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
    color = NETWORKS[NETWORK].colors[0]
    counts = np.geomspace(min(dice), 2 * max(dice), 200)
    fitted, known = 1 - power_law(counts, *fit(dice)), counts <= max(dice)
    axes.plot(counts[known], fitted[known], color=color)
    axes.plot(counts[~known], fitted[~known], color=color, linestyle="dotted")
    for count, values in dice.items():
        axes.plot([count] * len(values), values, "o", color=color, markersize=4, markeredgecolor="white")
    axes.set_xscale("log")
    axes.set_xticks([*dice, 2 * max(dice)], [f"{count:,}" for count in [*dice, 2 * max(dice)]], minor=False)
    axes.minorticks_off()
    axes.set_xlabel("images to train on")
    axes.set_ylabel("test Dice")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
