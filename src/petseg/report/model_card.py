"""The model card: one Markdown file about all networks, in the format of the Hugging Face Hub.

It has the sections of the Hub's template. Its YAML block follows modelcard.md in
https://github.com/huggingface/hub-docs.
"""

import html
import re
from collections.abc import Iterable
from typing import Any, cast

import pandas as pd
import yaml

from petseg.config.networks import NETWORKS
from petseg.config.params import Params
from petseg.evaluation.statistics import bootstrap_interval
from petseg.report import content
from petseg.report.inputs import Inputs, Record

CARD = "report/MODEL_CARD.md"

LICENSES = {"synthetic": "mit", "oxford": "cc-by-sa-4.0", "folder": "unknown"}  # identifiers of the Hub
DATASETS = {
    "synthetic": {"type": "petseg-synthetic", "name": "petseg synthetic pets"},
    "oxford": {"type": "timm/oxford-iiit-pet", "name": "Oxford-IIIT Pet"},  # its copy on the Hub
    "folder": {"type": "custom", "name": "Custom data set"},
}
SCORES = {"dice": "Dice", "iou": "IoU"}  # keys of metrics/test.json

# Rows of tables, in the form of content.RESULTS.
RUNS = {
    "Weights file": "models/{name}.safetensors",
    "Size of the weights": "about {megabytes} MB",
    "Parameters": "{trained[parameters]:,}",
    "Initial weights": "{training[initial_weights]}",
    "Epochs": "{epochs}",
    "Selected epoch": "{trained[epoch]}",
    "Training time, h:mm:ss": "{training[time]}",
    "Images per second": "{training[images_per_second]:.1f}",
    "Started (UTC)": "{training[started]:%Y-%m-%d %H:%M}",
}
MACHINE = content.MACHINE | {"Processes": "{processes}"}


def write(inputs: Inputs) -> str:
    """Returns the model card as Markdown. Equal inputs give equal bytes."""
    params, runs = inputs.params, inputs.training
    environment = content.templates(autoescape=False)
    environment.filters["text"] = escape
    results, settings = content.result_table(inputs), content.settings_table(params)
    architecture = {key for name in NETWORKS for key in params.network(name).architecture_keys()}
    return environment.get_template("model_card.md").render(
        metadata=yaml.safe_dump(metadata(inputs), sort_keys=False, allow_unicode=True),
        networks=NETWORKS,
        params=params,
        heading=content.heading(params),
        labels=content.network_labels(),
        scratch=content.from_scratch(inputs),
        best=max(NETWORKS, key=lambda name: inputs.trained[name]["valid_dice"]),
        best_epoch=content.best_epoch(params),
        loss=content.loss_words(params.loss),
        definitions=content.definitions(params),
        caveats=content.caveats(params),
        warnings=content.warnings(inputs),
        splits=content.split_table(inputs.splits),
        species=group_table(inputs, ["species"]),
        breeds=group_table(inputs, ["species", "breed"]),
        worst=each({name: {"dice": inputs.test[name].min()} for name in NETWORKS}, "{dice:.2f}"),
        scores={label: row for label, row in results.items() if label not in {"Temperature", *RUNS}},
        temperatures={"Temperature": results["Temperature"]},
        runs=content.fill(RUNS, {name: run_values(inputs, name) for name in NETWORKS}),
        machines=content.fill(MACHINE, runs),
        settings={key: row for key, row in settings.items() if key not in architecture | {"start"}},
        architecture={key: row for key, row in settings.items() if key in architecture},
        commit=each(runs, "{commit}"),
        data_sha256=each(runs, "{data_sha256}"),
        start=each(runs, "{initial_weights}"),
        hardware=each(runs, "{device_name}"),
        time=each(runs, "{time}"),
    )


def metadata(inputs: Inputs) -> dict[str, Any]:
    """Returns the YAML block: what the Hub searches and shows."""
    source = inputs.params.data.source
    pets = ["pets", "cats", "dogs"] if source != "folder" else []
    return {
        "language": "en",
        "license": LICENSES[source],
        "library_name": "petseg",
        "pipeline_tag": "image-segmentation",
        "tags": ["pytorch", "safetensors", "semantic-segmentation", "background-removal", *pets],
        **({"datasets": [DATASETS[source]["type"]]} if source == "oxford" else {}),
        "metrics": list(SCORES),
        "model-index": [{"name": NETWORKS[name].label, "results": [result(inputs, name)]} for name in NETWORKS],
    }


def result(inputs: Inputs, name: str) -> dict[str, Any]:
    """Returns the entry of model-index for a network; names have its label, since viewers may merge all entries."""
    params, scores, label = inputs.params, inputs.scores[name], NETWORKS[name].label
    names = {key: f"{words} of {label}" for key, words in SCORES.items()}
    if interval := content.interval(scores):
        names["dice"] += f" (95% interval {interval})"
    return {
        "task": {"type": "image-segmentation", "name": "Binary segmentation"},
        "dataset": DATASETS[params.data.source] | {"split": "test", "args": dataset_arguments(params)},
        "metrics": [{"type": key, "value": scores[key], "name": words} for key, words in names.items()],
    }


def dataset_arguments(params: Params) -> dict[str, int]:
    """Returns what else determines the test images."""
    arguments = {"image_size": params.image_size}
    if params.data.source == "synthetic":
        arguments |= {"images": params.data.images, "seed": params.data.seed}
    return arguments


def run_values(inputs: Inputs, name: str) -> Record:
    """Returns the values for `RUNS` of a network."""
    trained = inputs.trained[name]
    megabytes = 4 * trained["parameters"] / 1e6  # float32; batch norm statistics add less than 1 %
    return {
        "name": name,
        "trained": trained,
        "training": inputs.training[name],
        "epochs": len(inputs.curves[name]),
        "megabytes": f"{float(f'{megabytes:.2g}'):,g}",
    }


def group_table(inputs: Inputs, keys: list[str]) -> list[Record]:
    """Returns a row for each group of images: its keys, numbers of train and test images, and scores as text.

    Args:
        keys: columns of data/splits.csv: species, breed.
    """
    rows, groups = [], inputs.splits.groupby(keys)
    for group, images in cast("Iterable[tuple[tuple[str, ...], pd.DataFrame]]", groups):
        test: Any = inputs.test[(inputs.test[keys] == list(group)).all(axis="columns")]
        counts = {split: len(images.query("split == @split")) for split in ("train", "test")}
        scores = {name: mean_words(test[name], inputs.params.evaluate.bootstrap) for name in NETWORKS}
        rows.append(dict(zip(keys, group, strict=True)) | counts | scores)
    return rows


def mean_words(values: pd.Series, resamples: int) -> str:
    """Describes a mean with its 95 % interval, if it has one: "0.9312 [0.9241, 0.9375]"; "–" stands for no value."""
    if values.empty:
        return "–"
    interval = bootstrap_interval(values.to_numpy(), resamples)
    return f"{values.mean():.4f}" + (f" [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else "")


def each(values: dict[str, Record], template: str) -> str:
    """Fills in the template for each network: "X (UNet), Y (ResNet34-UNet)"; or only "X" if all have the same."""
    texts = {name: template.format_map(own) for name, own in values.items()}
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return ", ".join(f"{text} ({NETWORKS[name].label})" for name, text in texts.items())


def escape(value: object) -> str:
    """Makes text plain in Markdown, also in a cell of a table."""
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", html.escape(str(value), quote=False))
