"""The registry of networks, and the one way to read their answers.

A network's module is imported only when it is built: a DVC stage depends on the one network that it trains, and editing
the other never makes it stale.
"""

from importlib import import_module

from torch import Tensor, nn

from petseg.params import NETWORKS, Params

_CLASSES = {"unet": "UNet", "resnet34_unet": "ResNet34UNet"}


def build(name: str, params: Params) -> nn.Module:
    """A network with fresh weights from torch's global random state.

    It takes images as float (B, 3, image_size, image_size) with pixels in [0, 255] and returns logits of the same
    height and width: (B, 1, H, W), or (B, 2, H, W) if its section says `classes: 2`.

    Args:
        name: `unet` or `resnet34_unet`.
        params: its section of that name says how the network is built.

    Raises:
        ValueError: the name is not one of the two.
    """
    if name not in NETWORKS:
        raise ValueError(f"{name!r} is no network; there are {', '.join(NETWORKS)}")
    network = getattr(import_module(f"petseg.models.{name}"), _CLASSES[name])
    return network(**getattr(params, name).architecture())


def pet_logit(logits: Tensor) -> Tensor:
    """The logit of pet against background, whichever of the two kinds a network answers with.

    Its sigmoid is the probability of pet: of two classes, softmax((b, p))[1] = sigmoid(p - b). Above 0 is pet.

    Args:
        logits: (B, 1, H, W), of pet; or (B, 2, H, W), of background and pet.

    Returns:
        (B, 1, H, W), differentiable.

    Raises:
        ValueError: there are neither one nor two channels.
    """
    if logits.shape[1] not in (1, 2):
        raise ValueError(f"logits of 1 or 2 classes are needed, not of shape {tuple(logits.shape)}")
    return logits if logits.shape[1] == 1 else logits[:, 1:] - logits[:, :1]


def count_parameters(network: nn.Module) -> int:
    """Learnt numbers in a network; buffers are not counted."""
    return sum(parameter.numel() for parameter in network.parameters())
