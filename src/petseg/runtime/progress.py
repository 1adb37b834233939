"""What a person sees while training: a bar in a terminal, a line an epoch anywhere else."""

import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TypeVar

from tqdm import tqdm

from petseg.training.state import State

Batch = TypeVar("Batch")

_REFRESH = 0.5  # seconds between two looks at the loss; each look waits for the device


class Progress:
    """Time and speed of a whole training, also of one that goes on.

    Args:
        name: of the network.
        epochs: of the training.
        state: of the training; read here, never changed.
        quiet: says nothing.
    """

    def __init__(self, name: str, epochs: int, state: State, quiet: bool = False) -> None:
        self._name, self._epochs, self._state, self._quiet = name, epochs, state, quiet
        self._before = state.seconds
        self.waited = 0.0  # seconds that went by between two steps, waiting for the next batch
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self._started = self._looked = time.perf_counter()
        done = state.epoch * state.steps + state.step
        self._bar = tqdm(
            total=epochs * state.steps, initial=done, desc=name, unit="step", file=sys.stderr, disable=quiet or None
        )

    @property
    def seconds(self) -> float:
        """That the training has taken, all its processes one after the other."""
        return self._before + self.own_seconds

    @property
    def own_seconds(self) -> float:
        """That this process has trained."""
        return time.perf_counter() - self._started

    def waiting_for(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches; how long each is waited for is counted."""
        batches = iter(batches)
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            self.waited += time.perf_counter() - start
            if batch is None:
                return
            yield batch

    def step(self) -> bool:
        """Counts a step; True when it is time to look at the loss and call `show`."""
        self._bar.update()
        due = not self._bar.disable and time.perf_counter() - self._looked > _REFRESH
        if due:
            self._looked = time.perf_counter()
        return due

    def show(self, epoch: int, loss: float, split: str = "", dice: float | None = None) -> None:
        """Puts figures beside the bar: the mean loss of this epoch so far, Dice, and images a second."""
        figures = f"{split}loss {loss:.3f}" + ("" if dice is None else f", {split}Dice {dice:.3f}")
        self._bar.set_postfix_str(f"epoch {epoch}/{self._epochs}, {figures}, {self._rate()}")

    def epoch(self, row: dict[str, float]) -> None:
        """Says how an epoch ended: a row of the history."""
        epoch = int(row["epoch"])
        left = self.seconds / epoch * (self._epochs - epoch)
        if self._bar.disable:
            self.say(
                f"{epoch}/{self._epochs}: loss {row['train_loss']:.3f}, valid loss {row['valid_loss']:.3f}, "
                f"Dice {row['train_dice']:.4f}, valid Dice {row['valid_dice']:.4f}, {self._rate()}, "
                f"{left / 60:.1f} min left"
            )
        else:
            self.show(epoch, row["valid_loss"], "valid ", row["valid_dice"])

    def say(self, line: str) -> None:
        """Prints a line that begins with the network's name."""
        if not self._quiet:
            print(f"{self._name} {line}", flush=True)

    def close(self) -> None:
        self._bar.close()

    def _rate(self) -> str:
        return f"{self._state.images / self.seconds:.0f} images/s"
