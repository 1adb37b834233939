"""Networks: how they are built from parameters, and how their logits are read.

`petseg.config.networks.NETWORKS` lists them. The module of a network is imported only when the network is built, so
that a DVC stage depends on the one network it trains.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch import Tensor, nn

from petseg.config.networks import NETWORKS
from petseg.config.params import Params


def build(name: str, params: Params) -> nn.Module:
    """Builds a network with fresh weights from torch's global random state.

    It takes images as float (B, 3, image_size, image_size) with values in [0, 255], and returns logits of the same
    height and width: (B, 1, H, W), or (B, 2, H, W) for `classes: 2`.

    Args:
        name: a key of `NETWORKS`.
        params: its section `name` gives the architecture.
    """
    return construct(name, params.network(name).architecture())


def construct(name: str, architecture: Mapping[str, Any]) -> nn.Module:
    """Builds a network as `build` does, from the values of `NetworkParams.architecture`."""
    module, _, class_name = NETWORKS[name].class_path.rpartition(".")
    network = getattr(import_module(f"petseg.models.{module}"), class_name)
    return network(**architecture)


def pet_logit(logits: Tensor) -> Tensor:
    """Reduces one or two logits per pixel to the logit of pet against background.

    Its sigmoid is the probability of pet: for two classes, softmax((b, p))[1] = sigmoid(p - b). Above 0 is pet.

    Args:
        logits: (B, 1, H, W), of pet; or (B, 2, H, W), of background and pet.

    Returns:
        (B, 1, H, W), differentiable.

    Raises:
        ValueError: there are neither one nor two channels.
    """
    if logits.shape[1] not in (1, 2):
        raise ValueError(f"expected logits with 1 or 2 channels, got shape {tuple(logits.shape)}")
    return logits if logits.shape[1] == 1 else logits[:, 1:] - logits[:, :1]


def count_parameters(network: nn.Module) -> int:
    """Number of learned parameters; buffers are not counted."""
    return sum(parameter.numel() for parameter in network.parameters())
