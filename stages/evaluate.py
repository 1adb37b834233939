"""Scores both networks on the test split: weights -> metrics, per-image scores, predicted masks."""

import _here  # noqa: F401

import argparse

import numpy as np
import pandas as pd
from torch import nn
from tqdm import tqdm

from petseg import compute, models
from petseg.config import params, stage
from petseg.config.networks import NETWORKS
from petseg.config.training import Training
from petseg.data import fingerprint, packed, splits
from petseg.evaluation import score as scoring
from petseg.evaluation import statistics, tta
from petseg.models import weights
from petseg.runtime import device_locks, errors, files, machine
from petseg.training import memory


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with stage.for_stage(*params.TRAINING_KEYS, *NETWORKS, "evaluate") as p:
        device_locks.claim_for_training(1)
        table = splits.read_table(splits.TABLE).query("split == 'test'")
        data_sha256 = fingerprint.training_data(packed.PACKED)
        networks = {name: models.build(name, p) for name in NETWORKS}
        for name in networks:
            weights.load(f"models/{name}.safetensors", networks[name], p.training(name), data_sha256)
        if p.evaluate.flips:
            networks = {name: tta.Mirrored(network) for name, network in networks.items()}
        originals = packed.Originals(zip(table["width"], table["height"], strict=True))
        scored = {name: score(network, p.training(name), originals) for name, network in networks.items()}
        summaries = {name: statistics.summary(each.scores, p.evaluate.bootstrap) for name, each in scored.items()}
    write(table, scored, summaries)
    for name, each in summaries.items():
        print(f"{name}: test Dice {each['dice']:.4f} [{each['dice_low']:.4f}, {each['dice_high']:.4f}]")


def score(network: nn.Module, training: Training, originals: packed.Originals) -> scoring.Scored:
    """One network on the test split, with a bar on a terminal."""
    photos, trimaps = packed.load_split("test", size=training.image_size)
    how, at_once = compute.choose(training, machine.device()), training.micro_batch or training.batch_size
    bar = tqdm(total=len(photos), desc=training.network, unit="image", disable=None)
    with bar, memory.explained(training, how, ("again while nothing else needs that memory", "PETSEG_DEVICE=cpu")):
        return scoring.score(how.place(network), photos, trimaps, originals.__getitem__, at_once, how, bar.update)


def write(table: pd.DataFrame, scored: dict[str, scoring.Scored], summaries: dict[str, dict[str, float]]) -> None:
    """Writes all outputs; `table` holds the test rows of splits.csv in the order of the scores."""
    per_image = table[["name", "breed", "species"]].assign(**{n: s.scores["dice"] for n, s in scored.items()})
    files.write_text("plots/test/scores.csv", per_image.to_csv(index=False, float_format="%.6f"))
    bars = pd.DataFrame(summaries).T[["dice", "dice_low", "dice_high"]]
    files.write_text("plots/test/dice.csv", bars.to_csv(index_label="network"))
    with files.atomic_file("data/predictions.npz") as part, open(part, "wb") as file:
        masks = {name: each.masks for name, each in scored.items()}
        np.savez_compressed(file, name=table["name"].to_numpy(dtype=str), **masks)
    files.write_json("metrics/test.json", summaries)


if __name__ == "__main__":
    errors.run(main)
