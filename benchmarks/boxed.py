"""Makes the network that comes with the package, with its model card: the UNet of a recipe, trained on photographs.

    python benchmarks/boxed.py --data ARCHIVES

ARCHIVES is a folder with images.tar.gz and annotations.tar.gz of Oxford-IIIT Pet or of a part of it. Neither DVC nor a
network is needed. The train split trains the network, the valid split chooses its epoch, and the test split only scores
it. The stages run in the folder `--work`, so a second call resumes an interrupted training.
"""

import argparse
import hashlib
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from jinja2 import Template

import petseg
from measuring import ROOT, commit
from petseg import models
from petseg.config.overrides import flatten, read, recipe_path
from petseg.data import layout, packed, splits
from petseg.data.images import read_pair
from petseg.evaluation.statistics import bootstrap_interval
from petseg.inference.choose import BOXED
from petseg.models import weights
from petseg.recipes.yaml_edit import edited
from petseg.runtime import files, machine

ARCHIVES = ("images", "annotations")
CARD = Path(__file__).with_suffix(".md.jinja")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with images.tar.gz and annotations.tar.gz")
    parser.add_argument("--work", type=Path, default=Path("boxed"), help="folder for data and checkpoints")
    parser.add_argument("--recipe", default="laptop", help="recipe of the training")
    parser.add_argument("--seed", type=int, default=88, help="seed of the training")
    parser.add_argument("--out", type=Path, default=BOXED, help="the weights file to write")
    options = parser.parse_args()
    digests = {f"data.md5.{name}": md5(options.data / f"{name}.tar.gz") for name in ARCHIVES}
    write_params(
        options.work, options.recipe, {"data.url": [options.data.resolve().as_uri()], "seed": options.seed} | digests
    )
    for stage in (["fetch_data.py"], ["split.py"], ["train.py", "unet"]):
        subprocess.run([sys.executable, str(ROOT / "stages" / stage[0]), *stage[1:]], cwd=options.work, check=True)
    state, record = weights.read(options.work / weights.output("unet"))
    weights.save(options.out, {name: half(name, tensor) for name, tensor in state.items()}, portable(record))
    facts = {"recipe": options.recipe, "md5": digests, "size": options.out.stat().st_size}
    card = describe(options.work, options.out, facts)
    files.write_text(options.out.with_name("MODEL_CARD.md"), card)
    print(card)


def md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def write_params(folder: Path, recipe: str, changes: dict) -> None:
    """Writes params.yaml with the values of a recipe, and with `changes`."""
    folder.mkdir(parents=True, exist_ok=True)
    values = flatten(read(recipe_path(ROOT, recipe)).values)
    files.write_text(folder / "params.yaml", edited((ROOT / "params.yaml").read_text(), values | changes))


def half(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """A tensor in half precision; counters stay as they are."""
    if not tensor.is_floating_point():
        return tensor
    halved = tensor.half()
    assert halved.isfinite().all(), f"{name} does not fit into half precision"
    return halved


def portable(record: weights.Record) -> weights.Record:
    """The record with the commit, which the stages do not know in `--work`, and with fp32, which runs everywhere."""
    return replace(record, commit=commit(), training=record.training | {"precision": "fp32", "start": None})


def describe(work: Path, path: Path, facts: dict) -> str:
    """The model card, with scores of the weights file as `petseg predict` uses it."""
    table = splits.read_table(work / splits.TABLE)
    network = petseg.load(path, device="cpu")
    scores = {
        split: score(network, work, table.query("split == @split")["name"].tolist()) for split in ("valid", "test")
    }
    test = table.query("split == 'test'").assign(dice=scores["test"]["dice"])
    breeds = test.groupby(["species", "breed"])["dice"].agg(["size", "mean"])
    trained = table.query("split == 'train'").groupby(["species", "breed"]).agg(trained=("name", "size"))
    breeds = breeds.join(trained, how="outer").fillna({"size": 0, "trained": 0}).reset_index()
    interval = bootstrap_interval(scores["test"]["dice"], 10000)
    return Template(CARD.read_text(), trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True).render(
        **facts,
        record=network.records[0],
        parameters=models.count_parameters(weights.load(path)[0]),
        counts=table["split"].value_counts(),
        scores={split: {kind: values.mean() for kind, values in found.items()} for split, found in scores.items()},
        interval=interval,
        breeds=breeds.to_dict("records"),
        rare=breeds[breeds["trained"] < 30],
        machine=machine.describe(machine.device()),
        date=datetime.now(UTC).date(),
    )


def score(network, work: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Dice of each photograph at its original size, plain and with flips."""
    found = {"dice": [], "flips": []}
    for name in names:
        image, trimap = read_pair(
            layout.image_path(work / layout.RAW, name), layout.trimap_path(work / layout.RAW, name)
        )
        truth = packed.foreground(trimap)
        for kind, values in found.items():
            mask = np.asarray(network.predict(image, flips=kind == "flips").mask) > 0
            total = mask.sum() + truth.sum()
            values.append(2 * (mask & truth).sum() / total if total else 1.0)
    return {kind: np.array(values) for kind, values in found.items()}


if __name__ == "__main__":
    main()
