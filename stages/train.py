"""Trains one network: packed train and valid -> weights, metrics and a row an epoch."""

import argparse
from datetime import UTC, datetime

import pandas as pd

import _here  # noqa: F401  (this checkout's own src comes first)
from petseg import errors, files, machine, models, params
from petseg.data import augment, fingerprint, packed
from petseg.data.batches import Samples
from petseg.training import loop, seeding, weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=params.NETWORKS)
    name = parser.parse_args().network
    with params.for_stage("image_size", "batch_size", "epochs", "lr", "seed", "train", name) as p:
        training, device = p.training(name), machine.device()
        print(f"{name}: {p.origins(name)}; on {device}", flush=True)
        started = datetime.now(UTC).isoformat(timespec="seconds")
        data_sha256 = fingerprint.training_data(packed.PACKED)
        seeding.seed_everything(training.seed)
        network = models.build(name, p)
        images, trimaps = packed.load_split("train")
        samples = Samples(images, trimaps, augment.Augment(training.augment, training.image_size), training.seed)
        result = loop.train(
            network,
            samples,
            packed.load_split("valid"),
            training,
            device,
            workers=0 if device.type == "cpu" else machine.workers(),  # on a CPU they would only take its cores
            on_epoch=lambda history: write_history(name, history),
        )
    best = {key: round(value, 6) for key, value in result.best.items() if key != "lr"}
    facts = {"started": started, "seconds": round(result.seconds, 1), "data_sha256": data_sha256}
    facts |= {"images_per_second": round(result.images_per_second, 1)}
    weights.save(f"models/{name}.safetensors", result.state, training, data_sha256)
    files.write_json(f"models/{name}.run.json", machine.describe(device) | facts)
    files.write_json(f"metrics/train_{name}.json", best | {"parameters": models.count_parameters(network)})


def write_history(name: str, history: list[loop.Row]) -> None:
    """Rewrites the table whole after every epoch, so that plots can be watched while it runs."""
    files.write_text(f"plots/train/{name}.csv", pd.DataFrame(history).to_csv(index=False, float_format="%.6g"))


if __name__ == "__main__":
    errors.run(main)
