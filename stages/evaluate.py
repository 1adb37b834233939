"""Scores every network on the test split: weights -> metrics, scores per image, predicted masks."""

import _here  # noqa: F401

import argparse
import sys

import numpy as np
import pandas as pd
from torch import nn
from tqdm import tqdm

from petseg import compute, losses, models
from petseg.compute import Plan
from petseg.config import params, stage
from petseg.config.networks import NETWORKS
from petseg.data import empty_masks, fingerprint, packed, splits
from petseg.evaluation import score, statistics, tta
from petseg.models import weights
from petseg.runtime import device_locks, errors, files, machine


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with stage.for_stage(*params.TRAINING_KEYS, *NETWORKS, "evaluate") as p:
        device_locks.claim_for_training(1)
        device = machine.device()
        plans = {name: compute.choose(p.training(name), device) for name in NETWORKS}
        networks = load_networks(p)
        table = splits.read_table(splits.TABLE).query("split == 'test'")
        originals = packed.Originals(zip(table["width"], table["height"], strict=True))
        scored = {name: evaluate(name, networks[name], p, plans[name], originals) for name in NETWORKS}
        has_pet = empty_masks.has_pet(packed.load_split("test")[1])
        resamples = p.evaluate.bootstrap
        summaries = {name: statistics.summary(s.scores, has_pet, s.loss, resamples) for name, s in scored.items()}
    write(table, scored, summaries)
    precision = {name: plan.precision for name, plan in plans.items()}
    files.write_json("data/evaluate.run.json", machine.describe(device) | {"precision": precision})
    for name, numbers in summaries.items():
        print(f"{name}: test Dice {describe(numbers)}")
        if warning := statistics.constant_prediction(scored[name].masks):
            print(f"warning: {name} {warning}", file=sys.stderr)


def load_networks(p: params.Params) -> dict[str, nn.Module]:
    """All networks with their weights, before any is scored, so that an error comes at once."""
    data_sha256 = fingerprint.training_data(packed.PACKED)
    networks = {name: models.build(name, p) for name in NETWORKS}
    for name, network in networks.items():
        weights.load_trained(weights.output(name), network, p.training(name), data_sha256)
    return networks


def evaluate(name: str, network: nn.Module, p: params.Params, plan: Plan, originals: packed.Originals) -> score.Scored:
    """Scores one network on the test split, with a progress bar on a terminal."""
    training = p.training(name)
    images, trimaps = packed.load_split("test", size=training.image_size)
    packed.check_trimaps(trimaps, packed.PACKED / "test" / "trimaps.npy")
    network = plan.place(tta.FlipTTA(network) if p.evaluate.flips else network)
    batch_size, loss = training.micro_batch or training.batch_size, losses.build(training.loss)
    remedies = ("again when other programs need less of it", "PETSEG_DEVICE=cpu")
    bar = tqdm(total=len(images), desc=name, unit="image", disable=None)
    with bar, compute.explain_out_of_memory(plan, batch_size, training.image_size, remedies):
        return score.score(network, images, trimaps, originals, batch_size, plan, loss, on_batch=bar.update)


def describe(numbers: dict[str, float]) -> str:
    """The Dice of metrics/test.json in words: "0.9310, 95 % interval 0.9241 to 0.9375"."""
    words = f"{numbers['dice']:.4f}"
    if "dice_low" in numbers:
        words += f", 95 % interval {numbers['dice_low']:.4f} to {numbers['dice_high']:.4f}"
    if "empty_truths" in numbers:
        words += f"; {numbers['empty_truths']} truths are empty, over the others it is {numbers['dice_nonempty']:.4f}"
    return words


def write(table: pd.DataFrame, scored: dict[str, score.Scored], summaries: dict[str, dict[str, float]]) -> None:
    """Writes the outputs; `table` has the test rows of splits.csv, in the order of the scores."""
    dice = {name: s.scores["dice"] for name, s in scored.items()}
    per_image = table[["name", "breed", "species"]].assign(**dice)
    files.write_text("plots/test/scores.csv", per_image.to_csv(index=False, float_format="%.6f"))
    bars = pd.DataFrame(summaries).T.reindex(columns=["dice", "dice_low", "dice_high"])
    files.write_text("plots/test/dice.csv", bars.to_csv(index_label="network"))
    with files.atomic_file("data/predictions.npz") as part, open(part, "wb") as file:
        masks = {name: s.masks for name, s in scored.items()}
        names = table["name"].to_numpy(dtype=str)
        np.savez_compressed(file, name=names, **masks)  # pyright: ignore[reportArgumentType]
    files.write_json("metrics/test.json", summaries)


if __name__ == "__main__":
    errors.run(main)
