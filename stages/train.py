"""Trains one network: packed train and valid -> weights, metrics and a row an epoch."""

import _here  # noqa: F401

import argparse
import sys
from datetime import UTC, datetime

import pandas as pd

from petseg import errors, files, machine, models, params
from petseg.data import augment, fingerprint, packed
from petseg.data.batches import Samples
from petseg.training import loop, seeding, weights

KEYS = ("image_size", "batch_size", "epochs", "lr", "seed", "train")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=params.NETWORKS)
    name = parser.parse_args().network
    with params.for_stage(*KEYS, name) as p:
        training, device = p.training(name), machine.device()
        print(f"{name}: {p.origins(name)}; on {device}", flush=True)
        started = datetime.now(UTC).isoformat(timespec="seconds")
        data_sha256 = fingerprint.training_data(packed.PACKED)
        seeding.seed_everything(training.seed)
        network = models.build(name, p)
        images, trimaps = packed.load_split("train", size=training.image_size)
        samples = Samples(images, trimaps, augment.Augment(training.augment, training.image_size), training.seed)
        result = loop.train(
            network,
            samples,
            packed.load_split("valid", size=training.image_size),
            training,
            device,
            workers=0 if device.type == "cpu" else machine.workers(),  # on a CPU they would only take its cores
            on_epoch=lambda history: after_epoch(name, history, p),
        )
    facts = {"started": started, "seconds": round(result.seconds, 1), "data_sha256": data_sha256}
    facts |= {"images_per_second": round(result.images_per_second, 1)}
    scores = {key: round(value, 6) for key, value in result.best.items() if key != "lr"}
    scores |= {"parameters": models.count_parameters(network)}
    weights.save(f"models/{name}.safetensors", result.state, training, data_sha256)
    files.write_json(f"models/{name}.run.json", machine.describe(device) | facts)
    files.write_json(f"metrics/train_{name}.json", {name: scores})
    print(f"{name}: best valid Dice {scores['valid_dice']:.4f} in epoch {scores['epoch']}, {result.seconds:.0f} s")


def after_epoch(name: str, history: list[loop.Row], p: params.Params) -> None:
    """Rewrites the table whole, so that plots can be watched while it runs, and warns while it can be helped."""
    files.write_text(f"plots/train/{name}.csv", pd.DataFrame(history).to_csv(index=False, float_format="%.6g"))
    if change := params.change(p, (*KEYS, name)):
        print(f"warning: {change}; put it back before the end, or this training is not recorded", file=sys.stderr)


if __name__ == "__main__":
    errors.run(main)
