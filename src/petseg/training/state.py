"""All that a training is made of between two steps: saved and loaded, it goes on as if nothing had happened."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from petseg.optim import Average, Schedule

Row = dict[str, float]

_PARTS = ("network", "optimizer", "schedule", "average")


@dataclass
class State:
    """Where a training stands, and what it has found so far.

    There is no random state in it: order and augmentation depend on (seed, epoch, index) alone, and the networks draw
    nothing once they are made.
    """

    network: nn.Module
    optimizer: Optimizer
    schedule: Schedule
    average: Average
    steps: int  # of an epoch
    device: torch.device
    epoch: int = 0  # that runs, from 0
    step: int = 0  # of it to do next; `steps`: only the validation is left
    losses: Tensor = field(init=False)  # (steps,) of the epoch so far, float32 on the device
    dices: Tensor = field(init=False)  # (steps,) sums over this process's images, float64 on the device
    history: list[Row] = field(default_factory=list)
    best: Row = field(default_factory=dict)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    images: int = 0  # trained on, in all
    seconds: float = 0.0  # before this process went on

    def __post_init__(self) -> None:
        self.losses = torch.zeros(self.steps, device=self.device)
        self.dices = torch.zeros(self.steps, dtype=torch.float64, device=self.device)

    def __str__(self) -> str:
        what = f"step {self.step + 1}" if self.step < self.steps else "its validation"
        return f"epoch {self.epoch + 1}, {what}"

    @property
    def done(self) -> int:
        """Steps of the whole training so far."""
        return self.epoch * self.steps + self.step

    def ends(self, epochs: int, patience: int | None) -> bool:
        """Whether the last epoch is over, or `patience` epochs in a row brought none better than the best."""
        stopped = patience is not None and bool(self.best) and self.epoch - self.best["epoch"] >= patience
        return stopped or self.epoch >= epochs

    def to_dict(self, dices: Tensor, seconds: float) -> dict[str, Any]:
        """Tensors and plain values.

        Args:
            dices: as `self.dices`, but sums over the images of all processes.
            seconds: of the whole training so far.
        """
        plain = ("epoch", "step", "losses", "history", "best", "best_weights", "images")
        parts = {name: getattr(self, name).state_dict() for name in _PARTS}
        return parts | {name: getattr(self, name) for name in plain} | {"dices": dices, "seconds": seconds}

    def load_dict(self, saved: dict[str, Any], dices: bool) -> None:
        """Goes where `saved` stands, in place.

        Args:
            dices: take the sums of Dice too; one process of a team does, the others start from 0.
        """
        for name in _PARTS:
            getattr(self, name).load_state_dict(saved[name])
        for name in ("epoch", "step", "history", "best", "best_weights", "images", "seconds"):
            setattr(self, name, saved[name])
        self.losses.copy_(saved["losses"])
        if dices:
            self.dices.copy_(saved["dices"])
