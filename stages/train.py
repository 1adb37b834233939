"""Trains one network: packed train and valid -> weights, metrics and a row an epoch. `torchrun` may run it too."""

import _here  # noqa: F401

import argparse
import sys

import pandas as pd

from petseg import compute, models
from petseg.batches import augment
from petseg.batches import train as batches
from petseg.config import params, stage
from petseg.config.networks import NETWORKS
from petseg.data import fingerprint, packed
from petseg.models import weights
from petseg.runtime import device_locks, errors, files, launch, machine
from petseg.training import distributed, loop, seeding, session


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=NETWORKS)
    name = parser.parse_args().network
    with stage.for_stage(*params.TRAINING_KEYS, name) as p:
        if distributed.launched():
            return train(name, p)
        device_locks.claim_for_training(machine.processes())
        return launch.launch(machine.processes()) if machine.processes() > 1 else train(name, p)


def train(name: str, p: params.Params) -> None:
    training = p.training(name)
    how, data_sha256 = compute.choose(training, machine.device()), fingerprint.training_data(packed.PACKED)
    seeding.seed_everything(training.seed, training.deterministic)
    network = models.build(name, p)
    valid, (images, trimaps) = (packed.load_split(split, size=training.image_size) for split in ("valid", "train"))
    policy = augment.Augment(training.augment, training.image_size)
    samples = batches.Samples(images, trimaps, policy, training.seed, training.cutmix)
    with session.session(training, how, data_sha256) as keep:
        if keep.team.leads:
            print(f"{name}: {p.describe(name)}; on {how}, {keep.team}", flush=True)
        result = loop.train(network, samples, valid, training, how, keep, lambda rows: after_epoch(name, rows, p))
        if not keep.team.leads:
            return
        stage.check_unchanged(p, (*params.TRAINING_KEYS, name))
        after_epoch(name, result.history, p)  # it may have gone on after its last epoch
        weights.save(f"models/{name}.safetensors", result.state, training, data_sha256)
        scores = result.scores() | {"parameters": models.count_parameters(network)}
        files.write_json(f"metrics/train_{name}.json", {name: scores})
        facts = {"processes": keep.team.size, "precision": how.precision, "data_sha256": data_sha256}
        files.write_json(f"models/{name}.run.json", machine.describe(how.device) | facts | result.run())
        print(f"{name}: best valid Dice {scores['valid_dice']:.4f} in epoch {scores['epoch']}, {result.seconds:.0f} s")


def after_epoch(name: str, history: list[loop.Row], p: params.Params) -> None:
    """Rewrites the table whole, so that plots can be watched while it runs; or warns, while it can be helped."""
    if change := stage.find_change(p, (*params.TRAINING_KEYS, name)):
        print(f"warning: {change}; put it back before the end, or this training is not recorded", file=sys.stderr)
    else:
        files.write_text(f"plots/train/{name}.csv", pd.DataFrame(history).to_csv(index=False, float_format="%.6g"))


if __name__ == "__main__":
    errors.run(main)
