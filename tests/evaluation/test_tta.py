import pytest
import torch
from torch import nn

from petseg.evaluation.tta import Mirrored
from petseg.models import pet_logit


class Slope(nn.Module):
    """Answers with the first colour, more of it to the right; two classes if asked for."""

    def __init__(self, classes):
        super().__init__()
        self.classes = classes

    def forward(self, pixels):
        logit = pixels[:, :1] * torch.arange(pixels.shape[-1])
        return logit if self.classes == 1 else torch.cat([-logit, logit], dim=1)


@pytest.mark.parametrize("classes", [1, 2])
def test_the_answer_is_the_mean_of_two_and_turns_with_the_image(classes):
    pixels = torch.rand(2, 3, 4, 6)
    network = Slope(classes)
    mirrored = Mirrored(network)
    answer = mirrored(pixels)
    assert answer.shape == (2, 1, 4, 6)
    torch.testing.assert_close(mirrored(pixels.flip(-1)), answer.flip(-1))
    scale = 1 if classes == 1 else 2
    torch.testing.assert_close(answer, scale * pixels[:, :1] * 2.5)  # the mean of 0 ... 5 at every place
    assert not torch.allclose(answer, pet_logit(network(pixels)))
