"""Photographs, and tiny networks that segment them."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from petseg import models
from petseg.models import weights
from support.trainings import record, settings


def photograph(seed: int = 0, size: tuple[int, int] = (48, 36)) -> Image.Image:
    """Smooth noise, width x height pixels."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def save_photos(folder: Path, *names: str, size: tuple[int, int] = (48, 36)) -> None:
    """Writes a different photograph to each path below `folder`, in the format of its suffix."""
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        photograph(seed, size).save(path)


def save_network(path: Path, name: str = "unet", valid_dice: float = 0.9, seed: int = 0) -> Path:
    """Writes weights of a random tiny network of 64 pixels; returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    values = settings()
    known = vars(record(values.training(name))) | {"valid_dice": valid_dice}
    weights.save(path, models.build(name, values).state_dict(), weights.Record(**known))
    return path
