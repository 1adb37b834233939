"""The registry of networks. A network's module is imported only when it is built: a DVC stage depends on the one
network that it trains, and editing the other never makes it stale."""

from importlib import import_module

from torch import nn

from petseg.params import NETWORKS, Params

_CLASSES = {"unet": "UNet", "resnet34_unet": "ResNet34UNet"}


def build(name: str, params: Params) -> nn.Module:
    """A network with fresh weights from torch's global random state.

    It takes images as float (B, 3, image_size, image_size) with pixels in [0, 255] and returns logits (B, 1, H, W).

    Args:
        name: `unet` or `resnet34_unet`.
        params: its section of that name gives the width.

    Raises:
        ValueError: the name is not one of the two.
    """
    if name not in NETWORKS:
        raise ValueError(f"{name!r} is no network; there are {', '.join(NETWORKS)}")
    network = getattr(import_module(f"petseg.models.{name}"), _CLASSES[name])
    return network(width=getattr(params, name).width)


def count_parameters(network: nn.Module) -> int:
    """Learnt numbers in a network; buffers are not counted."""
    return sum(parameter.numel() for parameter in network.parameters())
