"""Tables and phrases that the page and the model card share."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from petseg.audit.findings import NOTE, count
from petseg.config.networks import NETWORKS
from petseg.config.params import Params
from petseg.config.training import LossParams
from petseg.evaluation import paired
from petseg.evaluation.paired import Difference
from petseg.evaluation.statistics import constant_prediction
from petseg.report.again import Origin
from petseg.report.inputs import Inputs, Record
from petseg.report.tiles import Picture

HERE = Path(__file__).parent
FEW_IMAGES = 30  # of a test split
Table = dict[str, dict[str, str]]  # texts by row label and network


def templates(autoescape: bool) -> Environment:
    """Returns the Jinja environment of the templates in this folder; `autoescape` is for HTML."""
    return Environment(
        loader=FileSystemLoader(HERE),
        undefined=StrictUndefined,
        autoescape=autoescape,
        trim_blocks=True,
        lstrip_blocks=True,
    )


# Rows of the tables with a column for each network; the values are templates for `fill`.
RESULTS = {
    "Dice": "{scores[dice]:.4f}",
    "Dice, 95% confidence interval": "{interval}",
    "Dice at the original image size": "{scores[dice_original]:.4f}",
    "IoU": "{scores[iou]:.4f}",
    "Normalized surface distance": "{scores[nsd]:.4f}",
    "Expected calibration error": "{scores[ece]:.4f}",
    "Test loss": "{scores[loss]:.4f}",
    "Validation Dice": "{trained[valid_dice]:.4f}",
    "Temperature": "{trained[temperature]:.4f}",
    "Selected epoch": "{trained[epoch]}",
    "Parameters": "{trained[parameters]:,}",
    "Training time, h:mm:ss": "{training[time]}",
}
MACHINE = {
    "Numeric precision": "{precision}",
    "Device": "{device}",
    "Processor": "{device_name}",
    "CPU threads per process": "{threads}",
    "Python": "{python}",
    "PyTorch": "{torch}",
    "NumPy": "{numpy}",
    "Albumentations": "{albumentations}",
}
TRAINING = MACHINE | {
    "Processes": "{processes}",
    "Images per second": "{images_per_second:.1f}",
    "Initial weights": "{initial_weights}",
    "Data SHA-256, first 8 digits": "{data_sha256:.8}",
    "Started (UTC)": "{started:%Y-%m-%d %H:%M}",
}


def fill(rows: dict[str, str], values: dict[str, Record]) -> Table:
    """Fills in the templates of a table with the values of each network."""
    return {label: {name: template.format_map(own) for name, own in values.items()} for label, template in rows.items()}


def result_table(inputs: Inputs) -> Table:
    """Returns the table of `RESULTS`, and the Dice over the images that have a pet if some have none."""
    values = {
        name: {
            "scores": inputs.scores[name],
            "interval": interval(inputs.scores[name]) or "–",
            "trained": inputs.trained[name],
            "training": inputs.training[name],
        }
        for name in NETWORKS
    }
    rows = dict(RESULTS)
    if empty := empty_truths(inputs):
        label = f"Dice over the {len(inputs.test) - empty} images with foreground"
        rows = {"Dice": rows["Dice"], label: "{scores[dice_nonempty]:.4f}"} | rows
    return fill(rows, values)


def interval(scores: Record) -> str | None:
    """Returns the interval of a network's Dice in metrics/test.json: "0.9241 to 0.9375"; None if there is none."""
    return f"{scores['dice_low']:.4f} to {scores['dice_high']:.4f}" if "dice_low" in scores else None


def empty_truths(inputs: Inputs) -> int:
    """Returns the number of test images without any foreground."""
    return max(scores.get("empty_truths", 0) for scores in inputs.scores.values())


def warnings(inputs: Inputs) -> list[str]:
    """Returns sentences about what makes the scores wrong or misleading."""
    found = {NETWORKS[name].label: constant_prediction(masks) for name, masks in inputs.masks.items()}
    sentences = [f"{label} {problem}" for label, problem in found.items() if problem]
    if empty := empty_truths(inputs):
        sentences.append(
            f"{empty} of {len(inputs.test)} test images have no foreground. On such an image, predicting nothing has a "
            "Dice of 1 and anything else has 0, so the table also has the mean over the other images."
        )
    if serious := [finding for finding in inputs.findings if finding.severity != NOTE]:
        kinds = ", ".join(f"{finding.kind} ({count(finding.images, 'image')})" for finding in serious)
        sentences.append(f"The data set may have mistakes: {kinds}. `petseg audit` shows them and says what to do.")
    if len(inputs.test) < FEW_IMAGES:
        sentences.append(
            f"There are only {len(inputs.test)} test images; with fewer than {FEW_IMAGES}, means and intervals say "
            "little."
        )
    return sentences


def caveats(params: Params) -> list[str]:
    """Returns sentences about what the scores do not show."""
    sentences = [
        f"Each network was trained once, with seed {params.seed}. Intervals cover the choice of the test images, not "
        "the seed: a difference is a result only if it holds over several, which `petseg compare` combines."
    ]
    if params.data.source == "synthetic":
        sentences.append(
            "The images are synthetic. Their scores show that the pipeline works; they say nothing about photographs "
            "of pets and cannot be compared with published results."
        )
    return sentences


def settings_table(params: Params) -> Table:
    """Returns every training parameter by its dotted key, as in params.yaml; "–" if a network does not have it."""
    flat = {name: params.training(name).flat() for name in NETWORKS}
    keys = dict.fromkeys(key for values in flat.values() for key in values if key != "network")
    return {key: {name: _yaml(values.get(key, "–")) for name, values in flat.items()} for key in keys}


def _yaml(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def heading(params: Params) -> str:
    """Returns the title: "Pet segmentation: UNet and ResNet34-UNet"."""
    return f"{'Image' if params.data.source == 'folder' else 'Pet'} segmentation: {network_labels()}"


def finding(test: pd.DataFrame) -> str:
    """Returns what the test says about two networks, in one sentence: which is better, by how much; "" for others."""
    if len(NETWORKS) != 2:
        return ""
    (first, second), labels = NETWORKS, [network.label for network in NETWORKS.values()]
    found = paired.difference(test[first].to_numpy(float), test[second].to_numpy(float))
    if not found.is_clear:
        interval = "" if math.isnan(found.low) else f" [{found.low:+.3f}, {found.high:+.3f}]"
        return f"No difference shown between {labels[0]} and {labels[1]}: {found.mean:+.3f} Dice{interval}"
    if found.mean < 0:
        labels.reverse()
        found = found._replace(mean=-found.mean, low=-found.high, high=-found.low, better=1 - found.better)
    by = f"{found.mean:.3f} Dice [{found.low:.3f}, {found.high:.3f}]"
    return f"{labels[0]} beats {labels[1]} by {by}; better on {found.better:.0%} of {found.images} images"


def network_labels() -> str:
    """Returns the labels of all networks: "UNet and ResNet34-UNet", "A, B, C"."""
    return (" and " if len(NETWORKS) == 2 else ", ").join(network.label for network in NETWORKS.values())


def from_scratch(inputs: Inputs) -> bool:
    """Whether every network started from random weights."""
    return all(run["start_sha256"] is None for run in inputs.training.values())


def best_epoch(params: Params) -> str:
    """Describes the epoch whose weights are kept: "the epoch with the highest validation Dice"."""
    quantity = "highest validation Dice" if params.train.select == "valid_dice" else "lowest validation loss"
    return f"the epoch with the {quantity}"


def definitions(params: Params) -> dict[str, str]:
    """Returns how the scores are defined, as sentences that begin with their key; plain text."""
    sentences = {
        "Dice": "of an image is 2|P∩G| / (|P|+|G|) for predicted foreground P and true foreground G, at a threshold of "
        "0.5. Every Dice here is a mean over images, not over batches or pixels.",
        "Foreground": "is the pet and its border, 1 and 3 in the trimap. Background is 2.",
        "Test loss": "is computed like the validation loss: the loss function of the training, averaged over batches, "
        "which are weighted by their number of images.",
    }
    if params.evaluate.flips:
        sentences["Test-time augmentation:"] = "each prediction is the mean over the image and its mirror image."
    return sentences | {
        "Confidence intervals": "are percentile bootstrap intervals over the test images "
        f"({params.evaluate.bootstrap:,} resamples). They do not cover the randomness of training, and comparing them "
        "is not a paired test.",
        "The test split": "is used for scores and figures only. The epoch is selected on the validation split.",
    }


def loss_words(loss: LossParams) -> str:
    """Describes a loss, without a full stop: "Binary cross entropy + 0.5 × soft Dice loss over the batch"."""
    terms = {
        "binary cross entropy": loss.bce,
        "cross entropy of two classes": loss.cross_entropy,
        f"soft Dice loss over the {loss.dice_over}": loss.dice,
    }
    text = " + ".join(term if weight == 1 else f"{weight:g} × {term}" for term, weight in terms.items() if weight)
    return text[0].upper() + text[1:]


def split_table(splits: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Returns for each split the number of images, of images of each species, and of breeds."""
    table = {}
    for split in ("train", "valid", "test"):
        rows = splits.query("split == @split")
        species = {kind: int((rows["species"] == kind).sum()) for kind in sorted(splits["species"].unique())}
        table[split] = {"Images": len(rows), **species, "Breeds": rows["breed"].nunique()}
    return table


def breed_table(test: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns for each breed, by species and name: species, breed, number of images, and each network's mean Dice.

    For two networks also `difference`, paired: "+0.012 [+0.003, +0.021]".
    """
    rows = []
    groups: Any = test.groupby(["species", "breed"])
    for (species, breed), scores in groups:
        row = {"species": species, "breed": breed, "images": len(scores), **scores[list(NETWORKS)].mean()}
        if len(NETWORKS) == 2:
            row["difference"] = signed(paired.difference(*(scores[name].to_numpy(float) for name in NETWORKS)))
        rows.append(row)
    return rows


def signed(found: Difference) -> str:
    """Returns a difference with its interval, if it has one: "+0.012 [+0.003, +0.021]"."""
    return f"{found.mean:+.3f}" + ("" if math.isnan(found.low) else f" [{found.low:+.3f}, {found.high:+.3f}]")


def chips(inputs: Inputs, origin: Origin) -> dict[str, str]:
    """Returns what the results depend on, in a few words each."""
    params, runs = inputs.params, inputs.training.values()
    source = {"synthetic": "synthetic images", "oxford": "Oxford-IIIT Pet", "folder": str(params.data.path)}
    found = {
        "data": source[params.data.source],
        "image size": f"{params.image_size} × {params.image_size}",
        "seed": str(params.seed),
        "experiment": origin.experiment or "",
        "commit": "" if origin.sha == "unknown" else origin.sha[:7] + (" + changes" if origin.changed else ""),
        "precision": " and ".join(dict.fromkeys(run["precision"] for run in runs)),
        "processor": " and ".join(dict.fromkeys(run["device_name"] for run in runs)),
    }
    return {label: text for label, text in found.items() if text}


def explanation(picture: Picture, name: str) -> str:
    """Returns what network `name` got wrong in a picture, in one or two sentences."""
    truth, mask = picture.truth, picture.masks[name]
    if not truth.any():
        return f"No foreground in the ground truth; {mask.mean():.0%} of the image is segmented."
    edges = truth[0].any() or truth[-1].any() or truth[:, 0].any() or truth[:, -1].any()
    where = f"Foreground: {truth.mean():.0%} of the image{', touches its edge' if edges else ''}."
    missed, added = (wrong.sum() / truth.sum() for wrong in (truth & ~mask, mask & ~truth))
    return f"{where} Missed: {missed:.0%} of it; added: {added:.0%}."
