"""Test-time flips: a network's answer to an image and to its mirror image, averaged."""

from torch import Tensor, nn

from petseg.models import pet_logit


class Mirrored(nn.Module):
    """The mean of two logits of pet, the second one of the mirrored image and mirrored back; twice the work.

    Args:
        network: (B, 3, H, W) -> (B, 1, H, W) or (B, 2, H, W).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 1, H, W); equal for an image and its mirror image, but mirrored."""
        mirrored = pet_logit(self.network(pixels.flip(-1))).flip(-1)
        return (pet_logit(self.network(pixels)) + mirrored) / 2
