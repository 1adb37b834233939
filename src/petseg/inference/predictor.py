"""Trained networks applied to photographs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import cv2
import numpy as np
import torch
from PIL import Image
from torch import nn

from petseg.compute import has_bf16
from petseg.evaluation.tta import FlipTTA
from petseg.inference import cutout
from petseg.inference.photo import Photo
from petseg.models import pet_logit, weights
from petseg.runtime import machine
from petseg.runtime.errors import PetsegError

Source = str | Path | Image.Image | np.ndarray
Inputs = dict[int, np.ndarray]  # a photograph as the networks see it, uint8 (S, S, 3) by S

BATCH = 8  # photographs at once


@dataclass(frozen=True)
class Prediction:
    """The pet that networks found in a photograph.

    Pictures are computed when they are asked for; none is kept. All have the size of the photograph, upright.

    Attributes:
        photo: the photograph.
        maps: probability of pet at the size of each network, float32 (S, S).
        threshold: a pixel is pet where its probability exceeds it.
    """

    photo: Photo
    maps: Sequence[np.ndarray]
    threshold: float = 0.5

    @property
    def probability(self) -> np.ndarray:
        """Probability of pet, float32 (H, W) in [0, 1]: the maps, enlarged bilinearly, and averaged."""
        width, height = self.photo.size
        enlarged = [enlarge(each, height, width) for each in self.maps]
        return enlarged[0] if len(enlarged) == 1 else np.mean(enlarged, axis=0)

    @property
    def mask(self) -> Image.Image:
        """The mask: mode L, 255 for pet and 0 for background. `np.asarray(mask) > 0` is bool (H, W)."""
        return Image.fromarray(np.where(self.probability > self.threshold, np.uint8(255), np.uint8(0)))

    @property
    def overlay(self) -> Image.Image:
        """The photograph with the background faded and the pet outlined: mode RGB."""
        return cutout.overlay(self.photo.rgb(), self.probability > self.threshold)

    @property
    def cutout(self) -> Image.Image:
        """The pet without its background: mode RGBA, with a soft edge."""
        return cutout.cutout(self.photo.rgb(), self.probability, self.threshold)


def enlarge(probability: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes a map (S, S) float32 bilinearly to (height, width), in a quarter of the time of torch."""
    return cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR)


class Predictor:
    """One or several trained networks. `petseg.load` makes it.

    Args:
        paths: weights files. The probabilities of several networks are averaged.
        device: see `petseg.load`.

    Attributes:
        records: what is known about each network.
    """

    def __init__(self, paths: Sequence[str | Path], device: str | None = None) -> None:
        self.device = machine.device(device)
        self.records: list[weights.Record] = []
        self._networks: list[nn.Module] = []
        for path in paths:
            network, record = weights.load(path)
            if self.device.type == "cuda" or record.training["width"] % 16 == 0:  # as in training, see compute.choose
                network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
            self._networks.append(network.to(self.device))
            self.records.append(record)

    @overload
    def predict(self, photos: Source, threshold: float = 0.5, flips: bool = False) -> Prediction: ...
    @overload
    def predict(self, photos: Sequence[Source], threshold: float = 0.5, flips: bool = False) -> list[Prediction]: ...
    def predict(self, photos: Source | Sequence[Source], threshold: float = 0.5, flips: bool = False):
        """Segments a photograph, or a list of them in batches.

        Args:
            photos: path of an image file, PIL image, or uint8 array (H, W, 3), RGB; or a list or tuple of these.
            threshold: a pixel is pet where its probability exceeds it; between 0 and 1.
            flips: average the logits of each photograph and its mirror image (test-time augmentation), at twice the
                cost.

        Returns:
            A `Prediction`, or a list of them.

        Raises:
            DataError: a file is missing or cannot be decoded.
        """
        several = isinstance(photos, list | tuple)
        opened = [Photo(each) for each in (photos if several else [photos])]  # pyright: ignore[reportArgumentType]
        predictions = []
        for first in range(0, len(opened), BATCH):
            batch = opened[first : first + BATCH]
            maps = self.probabilities([self.inputs(photo) for photo in batch], flips)
            predictions += [Prediction(*each, threshold) for each in zip(batch, maps, strict=True)]
        return predictions if several else predictions[0]

    def inputs(self, photo: Photo) -> Inputs:
        """Decodes a photograph to the size of each network."""
        return {size: photo.square(size) for size in {record.image_size for record in self.records}}

    @torch.inference_mode()
    def probabilities(self, batch: Sequence[Inputs], flips: bool = False) -> list[list[np.ndarray]]:
        """Probability of pet, calibrated, for each photograph and each network, float32 (S, S).

        Args:
            batch: of each photograph, the result of `inputs`.
            flips: see `predict`.

        Raises:
            PetsegError: a network's output is NaN.
        """
        maps = []
        for network, record in zip(self._networks, self.records, strict=True):
            images = torch.from_numpy(np.stack([inputs[record.image_size] for inputs in batch])).to(self.device)
            pixels = images.permute(0, 3, 1, 2).float()  # channels last
            bf16 = record.precision == "bf16" and self.device.type in ("cpu", "cuda") and has_bf16(self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
                logits = pet_logit((FlipTTA(network) if flips else network)(pixels).float())
            probabilities = (logits[:, 0] / record.temperature).sigmoid().cpu()
            if probabilities.isnan().any():
                raise PetsegError(f"The output of {record.label} is NaN; train it again, with a lower lr.")
            maps.append(probabilities.numpy())
        return [list(each) for each in zip(*maps, strict=True)]
