"""Scores every network on the test split: weights -> metrics, scores per image, predicted masks."""

import _here  # noqa: F401

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from torch import nn
from tqdm import tqdm

from petseg import compute, losses, models
from petseg.compute import Plan
from petseg.config import params, stage
from petseg.config.networks import NETWORKS
from petseg.data import empty_masks, fingerprint, packed, splits
from petseg.evaluation import score, statistics, tables, tta
from petseg.models import weights
from petseg.runtime import device_locks, errors, files, machine

PREDICTIONS = Path("data/predictions")


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with files.atomic_folder(PREDICTIONS) as part, stage.for_stage(*params.TRAINING_KEYS, *NETWORKS, "evaluate") as p:
        device_locks.claim_for_training(1)
        device = machine.device()
        plans = {name: compute.choose(p.training(name), device) for name in NETWORKS}
        networks = load_networks(p)
        table = splits.read_table(splits.TABLE).query("split == 'test'")
        scored = {
            name: evaluate(network, p, plans[name], table, record, part / name)
            for name, (network, record) in networks.items()
        }
        has_pet = empty_masks.has_pet(packed.load_split("test")[1])
        summaries = {name: summarize(each, has_pet, p.evaluate.bootstrap) for name, each in scored.items()}
        write(table, scored, summaries)
    precision = {name: plan.precision for name, plan in plans.items()}
    files.write_json("data/evaluate.run.json", machine.describe(device) | {"precision": precision})
    for name, numbers in summaries.items():
        print(f"{name}: test Dice {describe(numbers)}")
        if warning := statistics.constant_prediction(scored[name].masks):
            print(f"warning: {name} {warning}", file=sys.stderr)


def load_networks(p: params.Params) -> dict[str, tuple[nn.Module, weights.Record]]:
    """All networks with their weights, before any is scored, so that an error comes at once."""
    data_sha256 = fingerprint.training_data(packed.PACKED)
    networks = {name: models.build(name, p) for name in NETWORKS}
    return {
        name: (network, weights.load_trained(weights.output(name), network, p.training(name), data_sha256))
        for name, network in networks.items()
    }


def evaluate(
    network: nn.Module, p: params.Params, plan: Plan, table: pd.DataFrame, record: weights.Record, folder: Path
) -> score.Scored:
    """Scores one network on the test split, and writes its predictions to `folder`, with a progress bar."""
    training = p.training(record.network)
    images, trimaps = packed.load_split("test", size=training.image_size)
    packed.check_trimaps(trimaps, packed.PACKED / "test" / "trimaps.npy")
    originals = packed.Originals(zip(table["width"], table["height"], strict=True))
    network = plan.place(tta.FlipTTA(network) if p.evaluate.flips else network)
    batch_size, loss = training.micro_batch or training.batch_size, losses.build(training.loss)
    remedies = ("again when other programs need less of it", "PETSEG_DEVICE=cpu")
    bar = tqdm(total=len(images), desc=record.network, unit="image", disable=None)
    folder.mkdir()
    paths = [folder / f"{name}.png" for name in table["name"]]
    with bar, compute.explain_out_of_memory(plan, batch_size, training.image_size, remedies):
        return score.score(
            network,
            images,
            trimaps,
            originals,
            batch_size,
            plan,
            loss,
            temperature=record.temperature,
            on_prediction=lambda index, mask: write_mask(paths[index], mask),
            on_batch=bar.update,
        )


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Writes a mask (h, w) bool as a PNG with one bit per pixel, white for pet."""
    _, content = cv2.imencode(".png", 255 * mask.view(np.uint8), [cv2.IMWRITE_PNG_BILEVEL, 1])
    path.write_bytes(content.tobytes())


def summarize(scored: score.Scored, has_pet: np.ndarray, resamples: int) -> dict[str, float]:
    """The numbers of one network in metrics/test.json."""
    others = {"ece": scored.calibrated.scores()["ece"], "loss": scored.loss}
    return statistics.summary(tables.main_scores(scored), has_pet, others, resamples)


def describe(numbers: dict[str, float]) -> str:
    """The Dice of metrics/test.json in words: "0.9310, 95 % interval 0.9241 to 0.9375"."""
    words = f"{numbers['dice']:.4f}"
    if "dice_low" in numbers:
        words += f", 95 % interval {numbers['dice_low']:.4f} to {numbers['dice_high']:.4f}"
    if "empty_truths" in numbers:
        words += f"; {numbers['empty_truths']} truths are empty, over the others it is {numbers['dice_nonempty']:.4f}"
    return words


def write(table: pd.DataFrame, scored: dict[str, score.Scored], summaries: dict[str, dict[str, float]]) -> None:
    """Writes all outputs but the predictions; `table` has the test rows of splits.csv, in the order of the scores."""
    written = {
        "scores": tables.per_image(table, scored),
        "conventions": tables.conventions(scored),
        "calibration": tables.calibration(scored),
        "reliability": tables.reliability(scored),
        "dice": pd.DataFrame(summaries).T.reindex(columns=["dice", "dice_low", "dice_high"]).rename_axis("network"),
    }
    for name, each in written.items():
        text = each.to_csv(index=name == "dice", float_format="%.6f")
        files.write_text(f"plots/test/{name}.csv", text)
    with files.atomic_file("data/scores.npz") as part, open(part, "wb") as file:
        arrays = tables.arrays(table["name"].to_numpy(dtype=str), scored)
        np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]
    files.write_json("metrics/test.json", summaries)


if __name__ == "__main__":
    errors.run(main)
