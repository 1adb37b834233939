import pytest
import torch
from torch import nn

from petseg.evaluation.tta import FlipTTA
from petseg.models import pet_logit


class Slope(nn.Module):
    """Logits that grow to the right, of one or two classes."""

    def __init__(self, classes):
        super().__init__()
        self.classes = classes

    def forward(self, pixels):
        logit = pixels[:, :1] * torch.arange(pixels.shape[-1])
        return logit if self.classes == 1 else torch.cat([-logit, logit], dim=1)


@pytest.mark.parametrize("classes", [1, 2])
def test_logits_are_averaged_over_both_directions(classes):
    pixels = torch.rand(2, 3, 4, 6)
    network = Slope(classes)
    logits = FlipTTA(network)(pixels)
    assert logits.shape == (2, 1, 4, 6)
    torch.testing.assert_close(FlipTTA(network)(pixels.flip(-1)), logits.flip(-1))
    torch.testing.assert_close(logits, classes * pixels[:, :1] * 2.5)  # the mean of 0 to 5 in every column
    assert not torch.allclose(logits, pet_logit(network(pixels)))
