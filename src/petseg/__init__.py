"""petseg: a reproducible DVC pipeline for binary segmentation of pets."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from petseg.inference.predictor import Predictor

__version__ = "0.3.0"


def load(*weights: str | Path, device: str | None = None) -> "Predictor":
    """Loads trained networks, to segment photographs with them. Needs neither params.yaml nor data.

    Args:
        weights: files that a training wrote; none: the network that comes with petseg, see its model card in
            petseg/inference/boxed. The probabilities of several networks are averaged.
        device: `cpu`, `cuda`, `cuda:1` or `mps`; by default PETSEG_DEVICE, or the first GPU, or the CPU.

    Raises:
        PetsegError: a file is missing, damaged, or from another version of petseg; there is no such device.

    Example:
        >>> import petseg
        >>> model = petseg.load()  # or petseg.load("models/unet.safetensors")
        >>> model.predict("photo.jpg").cutout.save("cutout.png")
    """
    from petseg.inference.choose import BOXED
    from petseg.inference.predictor import Predictor  # imports torch, which takes seconds

    return Predictor(weights or [BOXED], device)
