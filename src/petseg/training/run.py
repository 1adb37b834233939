"""Trains a network as params.yaml says and writes its weights, its metrics and one row per epoch."""

import sys
from collections.abc import Callable

import pandas as pd

from petseg import compute, models
from petseg.batches.train import TrainDataset
from petseg.config import stage
from petseg.config.params import TRAINING_KEYS, Params
from petseg.data import fingerprint, packed
from petseg.evaluation import calibration
from petseg.models import pretrained, weights
from petseg.runtime import device_locks, files, launch, machine, progress, provenance, tensorboard
from petseg.training import distributed, loop, seeding, session
from petseg.training.state import EpochRow


def run(name: str) -> None:
    """Trains the network `name` of the project in the working directory, on the devices of this machine."""
    with stage.for_stage(*TRAINING_KEYS, name) as params:
        if distributed.is_launched():
            return train(name, params)
        device_locks.claim_for_training(machine.processes())
        return launch.launch(machine.processes()) if machine.processes() > 1 else train(name, params)


def train(name: str, params: Params) -> None:
    """Trains in this process, which may be one of several, and writes what the stage promises if it is the main one."""
    training = params.training(name)
    plan = compute.choose(training, machine.device())
    data_sha256 = fingerprint.training_data(packed.PACKED)
    seeding.seed_everything(training.seed, training.deterministic)
    network = models.build(name, params)
    start_sha256 = weights.load_start(network, training) or pretrained.load_encoder(network, training)
    images, trimaps = packed.load_split("train", size=training.image_size)
    sizes = [training.size_at(epoch) for epoch in range(training.epochs)]
    dataset = TrainDataset(images, trimaps, training.augment, training.seed, training.cutmix, sizes)
    valid = packed.load_split("valid", size=training.image_size)
    with session.open_session(training, plan, data_sha256, start_sha256) as (world, checkpointer):
        if world.is_main:
            print(f"{name}: {params.describe(name)}\n{name}: on {plan}, {world}", flush=True)
            compute.warn_if_emulated(plan)
        on_epoch = record_epochs(name, params) if world.is_main else lambda history: None
        state = loop.train(network, dataset, valid, training, plan, world, checkpointer, on_epoch)
        facts = {"processes": world.size, "precision": plan.precision, "data_sha256": data_sha256} | state.facts()
        if not world.is_main:
            return
        network.load_state_dict(state.best_weights)
        temperature = calibration.fit(network, valid, training.micro_batch or training.batch_size, plan)
        stage.check_unchanged(params, (*TRAINING_KEYS, name))
        write_history(name, params, state.history)  # a finished training that was resumed has no epochs
        scores = {key: round(value, 6) for key, value in state.best.items() if key != "lr"}
        valid_dice, commit = scores["valid_dice"], provenance.code_commit()
        record = weights.Record(training.flat(), data_sha256, start_sha256, temperature, valid_dice, commit)
        weights.save(weights.output(name), state.best_weights, record)
        scores |= {"temperature": temperature, "parameters": models.count_parameters(network)}
        files.write_json(f"metrics/train_{name}.json", {name: scores})
        facts |= {"start_sha256": start_sha256, "encoder": training.encoder, "commit": commit}
        files.write_json(f"models/{name}.run.json", machine.describe(plan.device) | facts)
        print(f"{name}: best valid Dice {valid_dice:.4f} in epoch {scores['epoch']}, {state.seconds:.0f} s")


def record_epochs(name: str, params: Params) -> Callable[[list[EpochRow]], None]:
    """Returns what the loop calls after each epoch; raises PetsegError if curves cannot be written for TensorBoard."""
    write_curves = tensorboard.open_curves(name)

    def on_epoch(history: list[EpochRow]) -> None:
        write_history(name, params, history)
        write_curves(history)

    return on_epoch


def write_history(name: str, params: Params, history: list[EpochRow]) -> None:
    """Rewrites plots/train/NAME.csv, so that plots can be watched; or warns while params.yaml differs."""
    if change := stage.find_change(params, (*TRAINING_KEYS, name)):
        progress.message(f"warning: {change}; restore it before the training ends, or its result is lost", sys.stderr)
    else:
        files.write_text(f"plots/train/{name}.csv", pd.DataFrame(history).to_csv(index=False, float_format="%.6g"))
