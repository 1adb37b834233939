"""Scores both networks on the test split: weights -> metrics, per-image scores, predicted masks."""

import _here  # noqa: F401

import argparse

import numpy as np
import pandas as pd
from tqdm import tqdm

from petseg import errors, files, machine, models, params, plan
from petseg.data import fingerprint, packed, splits
from petseg.evaluation import predict, statistics
from petseg.training import weights


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    keys = ("image_size", "batch_size", "epochs", "lr", "seed", "train", *params.NETWORKS, "evaluate")
    with params.for_stage(*keys) as p:
        table = splits.read_table(splits.TABLE).query("split == 'test'")
        data_sha256 = fingerprint.training_data(packed.PACKED)
        networks = {}
        for name in params.NETWORKS:
            networks[name] = models.build(name, p)
            weights.load(f"models/{name}.safetensors", networks[name], p.training(name), data_sha256)
        originals = packed.Originals(zip(table["width"], table["height"], strict=True))
        scored = {}
        for name, network in networks.items():
            with tqdm(total=len(table), desc=name, unit="image", disable=None) as bar:
                test, training = packed.load_split("test", size=p.image_size), p.training(name)
                how = plan.choose(training, machine.device())
                scored[name] = predict.score(
                    how.place(network),
                    *test,
                    original=originals.__getitem__,
                    batch_size=training.micro_batch or training.batch_size,
                    plan=how,
                    on_batch=bar.update,
                )
        summaries = {name: statistics.summary(each.scores, p.evaluate.bootstrap) for name, each in scored.items()}
    write(table, scored, summaries)
    for name, each in summaries.items():
        print(f"{name}: test Dice {each['dice']:.4f} [{each['dice_low']:.4f}, {each['dice_high']:.4f}]")


def write(table: pd.DataFrame, scored: dict[str, predict.Scored], summaries: dict[str, dict[str, float]]) -> None:
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
