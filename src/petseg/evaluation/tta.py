"""Test-time augmentation: the mean of the logits of an image and of its mirror image."""

from torch import Tensor, nn

from petseg.models import pet_logit


class FlipTTA(nn.Module):
    """Averages the logits of `network` over horizontal flips, at twice the cost: (B, 3, H, W) -> (B, 1, H, W).

    Args:
        network: (B, 3, H, W) -> (B, 1, H, W) or (B, 2, H, W).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        flipped = pet_logit(self.network(pixels.flip(-1))).flip(-1)
        return (pet_logit(self.network(pixels)) + flipped) / 2
