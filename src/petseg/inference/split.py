"""A split of the data set instead of photographs: which images it has, and one of them as a picture."""

import difflib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from petseg import metrics
from petseg.data import images, layout, splits
from petseg.data.packed import foreground
from petseg.inference.find import Job
from petseg.inference.photo import Photo
from petseg.inference.predictor import Predictor
from petseg.report.theme import Theme
from petseg.report.tiles import ERRORS, mark
from petseg.runtime.errors import DataError

SIDE = 2.6  # inches per tile


def names(split: str) -> list[str]:
    """The names of the images of a split, in the order of data/splits.csv.

    Raises:
        DataError: there is no such split, or data/splits.csv is missing.
    """
    if split not in splits.SPLITS:
        raise DataError(f"There is no split {split!r}; name one of {', '.join(splits.SPLITS)}.")
    table = splits.read_table()
    return table.loc[table["split"] == split, "name"].tolist()


def by_index(split: str, index: int) -> str:
    """The name of the image number `index` of a split, from 0; raises DataError if there is none."""
    found = names(split)
    if not 0 <= index < len(found):
        raise DataError(f"There is no image {index} in the {split} split; its images are 0 to {len(found) - 1}.")
    return found[index]


def by_name(split: str, name: str) -> str:
    """The name itself if the split has this image; raises DataError if not, which offers the nearest name."""
    found = names(split)
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1, cutoff=0)[0]
        raise DataError(f"There is no image {name!r} in the {split} split; the nearest name is {near}.")
    return name


def jobs(split: str) -> list[Job]:
    """All images of a split, to predict."""
    return [Job(layout.image_path(layout.RAW, name), Path(name)) for name in names(split)]


def open_photo(job: Job) -> Photo:
    """Opens an image of the data set as the trimap shows it."""
    return Photo(_read(job.name.name)[0])


def draw(name: str, models: Mapping[str, Predictor], flips: bool, threshold: float, theme: Theme) -> Figure:
    """Draws an image of the data set: the photograph and the ground truth, the mask of each network, and its errors.

    Dice and IoU are computed at the size of the photograph, and the border counts as pet.

    Args:
        name: of the image.
        models: of one network each, by title.
        flips: see `Predictor.predict`.
        threshold: see `Predictor.predict`.
        theme: colors.
    """
    image, truth = _read(name)
    height, width = truth.shape
    tile_height = SIDE * min(max(height / width, 0.5), 2)
    figure = Figure(figsize=(SIDE * (1 + len(models)) + 0.3, 2 * tile_height + 1.1))
    figure.set_layout_engine("constrained", h_pad=0.07)
    grid = figure.subplots(2, 1 + len(models), squeeze=False)
    _show(grid[0, 0], image, "photograph", theme.ink)
    _show(grid[1, 0], mark(image, truth, truth), "ground truth", theme.ink)
    for column, (title, model) in enumerate(models.items(), 1):
        color = theme.networks[model.records[0].network]
        mask = model.predict(image, threshold, flips).probability > threshold
        counts = metrics.count(torch.from_numpy(mask)[None], torch.from_numpy(truth)[None])
        scores = f"Dice {metrics.dice(counts).item():.3f}   IoU {metrics.iou(counts).item():.3f}"
        _show(grid[0, column], np.where(mask, np.uint8(255), np.uint8(0)), title, color)
        _show(grid[1, column], mark(image, mask, truth), scores, theme.ink)
    figure.suptitle(f"{name}, {width} x {height} pixels", x=0.006, ha="left", color=theme.ink, fontsize=10.5)
    handles = [Patch(color=color, label=label) for label, color in ERRORS.items()]
    figure.legend(handles=handles, loc="outside lower left", ncols=2, fontsize=8.5)
    return figure


def _read(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The photograph of an image of the data set, (H, W, 3) uint8, and its mask, (H, W) bool."""
    image, trimap = images.read_pair(layout.image_path(layout.RAW, name), layout.trimap_path(layout.RAW, name))
    return image, foreground(trimap)


def _show(axes: Axes, pixels: np.ndarray, title: str, color: str) -> None:
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
    axes.set_title(title, color=color, fontsize=9.5)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
