"""Trains one network: packed train and valid -> weights, metrics and a row an epoch. `torchrun` may run it too."""

import _here  # noqa: F401

import argparse
import sys

import pandas as pd

from petseg import claims, errors, files, machine, models, params, plan
from petseg.data import augment, batches, fingerprint, packed
from petseg.training import keeper, launch, loop, seeding, team, weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=params.NETWORKS)
    name = parser.parse_args().network
    with params.for_stage(*params.LEARNING, name) as p:
        if team.launched():
            return train(name, p)
        claims.claim_for_training(machine.processes())
        return launch.launch(machine.processes()) if machine.processes() > 1 else train(name, p)


def train(name: str, p: params.Params) -> None:
    training = p.training(name)
    how, data_sha256 = plan.choose(training, machine.device()), fingerprint.training_data(packed.PACKED)
    seeding.seed_everything(training.seed, training.deterministic)
    network = models.build(name, p)
    valid, (images, trimaps) = (packed.load_split(split, size=training.image_size) for split in ("valid", "train"))
    policy = augment.Augment(training.augment, training.image_size)
    samples = batches.Samples(images, trimaps, policy, training.seed, training.cutmix)
    with keeper.session(training, how, data_sha256) as keep:
        if keep.team.leads:
            print(f"{name}: {p.origins(name)}; on {how}, {keep.team}", flush=True)
        result = loop.train(network, samples, valid, training, how, keep, lambda rows: after_epoch(name, rows, p))
        if not keep.team.leads:
            return
        params.check_unchanged(p, (*params.LEARNING, name))
        after_epoch(name, result.history, p)  # it may have gone on after its last epoch
        weights.save(f"models/{name}.safetensors", result.state, training, data_sha256)
        scores = result.scores() | {"parameters": models.count_parameters(network)}
        files.write_json(f"metrics/train_{name}.json", {name: scores})
        facts = {"processes": keep.team.size, "precision": how.precision, "data_sha256": data_sha256}
        files.write_json(f"models/{name}.run.json", machine.describe(how.device) | facts | result.run())
        print(f"{name}: best valid Dice {scores['valid_dice']:.4f} in epoch {scores['epoch']}, {result.seconds:.0f} s")


def after_epoch(name: str, history: list[loop.Row], p: params.Params) -> None:
    """Rewrites the table whole, so that plots can be watched while it runs; or warns, while it can be helped."""
    if change := params.change(p, (*params.LEARNING, name)):
        print(f"warning: {change}; put it back before the end, or this training is not recorded", file=sys.stderr)
    else:
        files.write_text(f"plots/train/{name}.csv", pd.DataFrame(history).to_csv(index=False, float_format="%.6g"))


if __name__ == "__main__":
    errors.run(main)
