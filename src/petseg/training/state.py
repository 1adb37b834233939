"""The state of a training between two steps. Saved and loaded, the training continues to the same bytes."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from petseg.optim import EMA, Schedule

EpochRow = dict[str, float]  # a row of plots/train/NAME.csv

_MODULES = ("network", "optimizer", "schedule", "ema")
_VALUES = ("epoch", "step", "images", "history", "best", "best_weights")


@dataclass
class TrainingState:
    """Where a training is, and its results so far.

    There is no random state: order and augmentation depend on (seed, epoch, index) alone, and the networks use no
    random numbers after initialization.

    Attributes:
        log: (steps, 3) float64 on the device, of the current epoch: cross entropy, soft Dice loss, sum of the images'
            Dice.
        epoch: the current one, from 0.
        step: the next one, from 0; equal to `steps` if only the validation is left.
        images: trained on so far.
        history: a row for each finished epoch.
        best: row of the best epoch, the first of equals; empty before the first.
        best_weights: of that epoch.
        seconds_before: training time of earlier processes that were stopped.
        seconds_waited: time that this process has spent waiting for data.
        started: start of this process's training, ISO 8601, UTC.
    """

    network: nn.Module
    optimizer: Optimizer
    schedule: Schedule
    ema: EMA
    log: Tensor
    epoch: int = 0
    step: int = 0
    images: int = 0
    history: list[EpochRow] = field(default_factory=list)
    best: EpochRow = field(default_factory=dict)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    seconds_before: float = 0.0
    seconds_waited: float = 0.0
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    _started: float = field(default_factory=time.perf_counter)

    def __str__(self) -> str:
        position = f"step {self.step + 1}" if self.step < self.steps else "its validation"
        return f"epoch {self.epoch + 1}, {position}"

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return len(self.log)

    @property
    def steps_done(self) -> int:
        """Steps of the whole training so far."""
        return self.epoch * self.steps + self.step

    @property
    def seconds_here(self) -> float:
        """Training time of this process."""
        return time.perf_counter() - self._started

    @property
    def seconds(self) -> float:
        """Training time so far, including earlier processes."""
        return self.seconds_before + self.seconds_here

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds

    def is_finished(self, epochs: int, patience: int | None) -> bool:
        """Whether all epochs are done, or none of the last `patience` epochs was better than the best."""
        stopped_early = patience is not None and bool(self.best) and self.epoch - self.best["epoch"] >= patience
        return stopped_early or self.epoch >= epochs

    def facts(self) -> dict[str, str | float]:
        """For models/NAME.run.json: start, seconds, images per second, share of the time spent waiting for data."""
        return {
            "started": self.started,
            "seconds": round(self.seconds, 1),
            "images_per_second": round(self.images_per_second, 1),
            "waited_for_data": round(self.seconds_waited / self.seconds_here, 4),
        }

    def state_dict(self) -> dict[str, Any]:
        modules = {name: getattr(self, name).state_dict() for name in _MODULES}
        return modules | {name: getattr(self, name) for name in _VALUES} | {"log": self.log, "seconds": self.seconds}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        for name in _MODULES:
            getattr(self, name).load_state_dict(saved[name])
        for name in _VALUES:
            setattr(self, name, saved[name])
        self.log.copy_(saved["log"])
        self.seconds_before = saved["seconds"]
