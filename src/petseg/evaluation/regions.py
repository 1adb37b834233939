"""Pixels of a prediction by the class of the trimap, and their counts under three conventions for the border."""

import numpy as np
import torch

from petseg.metrics import Counts

PET, BACKGROUND, BORDER = 1, 2, 3  # values of a trimap
BORDERS = ("foreground", "background", "ignored")


def areas(predicted: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """Counts the pixels of one image, of any size.

    Args:
        predicted: (H, W) bool, True for predicted pet.
        trimap: (H, W) uint8.

    Returns:
        (3, 2) int64; for pet, background and border its pixels, and how many of them are predicted as pet.
    """
    pet, border = trimap == PET, trimap == BORDER
    rows = [(np.count_nonzero(region), np.count_nonzero(region & predicted)) for region in (pet, border)]
    of_pet, of_border = np.array(rows, np.int64)
    everything = np.array([trimap.size, np.count_nonzero(predicted)])
    return np.stack([of_pet, everything - of_pet - of_border, of_border])


def counts(areas: np.ndarray, border: str) -> Counts:
    """Counts true positives, false positives and false negatives, (N,) each.

    Args:
        areas: (N, 3, 2), as from `areas` for each image.
        border: the border band of the trimaps is `foreground`, `background`, or its pixels are `ignored`.
    """
    size, predicted = torch.from_numpy(areas).unbind(-1)
    pet, _, band = size.unbind(1)
    tp, fp, in_band = predicted.unbind(1)
    if border == "foreground":
        return Counts(tp + in_band, fp, pet + band - tp - in_band)
    return Counts(tp, fp + in_band if border == "background" else fp, pet - tp)
