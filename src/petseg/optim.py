"""Optimizer and schedule of report A."""

from torch import nn
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR


def build(network: nn.Module, lr: float, epochs: int) -> tuple[Adam, CosineAnnealingLR]:
    """Adam (Kingma, Ba 2015) whose learning rate falls from `lr` to 0 along half a cosine (Loshchilov, Hutter 2017).

    The schedule is stepped once an epoch: epoch e, from 0, trains with lr (1 + cos(π e / epochs)) / 2. All of Adam's
    update is one kernel (`fused`), on CPU and GPU alike.
    """
    optimizer = Adam(network.parameters(), lr=lr, fused=True)
    return optimizer, CosineAnnealingLR(optimizer, T_max=epochs)
