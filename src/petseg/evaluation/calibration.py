"""Calibration of probabilities by one temperature."""

import math

import numpy as np
import torch
from scipy import optimize
from torch import nn

from petseg.batches.evaluation import batches_in_order
from petseg.compute import Plan
from petseg.models import pet_logit

BOUNDS = (0.05, 20.0)
_MAX_PIXELS = 2**22  # that a fit uses, for at most about two seconds


def fit(network: nn.Module, valid: tuple[np.ndarray, np.ndarray], batch_size: int, plan: Plan) -> float:
    """Fits the temperature of a network on the validation split: sigmoid(logit / temperature) is the probability.

    It changes no mask at threshold 0.5.

    Args:
        network: (B, 3, S, S) pixels in [0, 255] -> logits; on the plan's device. It is left in eval mode.
        valid: images (N, S, S, 3) and trimaps (N, S, S), uint8.

    Returns:
        See `fit_temperature`; of every k-th pixel if there are more than 2^22.
    """
    network.eval()
    stride = math.ceil(valid[1].size / _MAX_PIXELS)
    margins = []
    with torch.inference_mode():
        for images, masks in batches_in_order(*valid, batch_size):
            pixels, truth = plan.inputs(images, masks)
            with plan.autocast():
                logits = pet_logit(network(pixels).float())
            margins.append(((2 * truth - 1) * logits).flatten()[::stride].cpu().numpy())
    return fit_temperature(np.concatenate(margins))


def fit_temperature(margins: np.ndarray) -> float:
    """The temperature that minimizes the negative log-likelihood of pixels (Guo et al. 2017), 4 decimals, in BOUNDS.

    Args:
        margins: of each pixel its logit, negated where the truth is background; (N,).
    """

    def negative_log_likelihood(log_temperature: float) -> float:
        return float(np.logaddexp(0, -margins / math.exp(log_temperature)).mean())

    low, high = (math.log(bound) for bound in BOUNDS)
    found = optimize.minimize_scalar(negative_log_likelihood, bounds=(low, high), method="bounded")
    return round(math.exp(found.x), 4)
