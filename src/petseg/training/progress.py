"""What a person sees while training: a bar in a terminal, a line an epoch anywhere else."""

import sys
import time

from tqdm import tqdm

_REFRESH = 0.5  # seconds between two looks at the loss; each look waits for the device


class Progress:
    """Counts steps and images of a whole training.

    Args:
        name: of the network.
        epochs: of the training.
        steps: of one epoch.
    """

    def __init__(self, name: str, epochs: int, steps: int) -> None:
        self.name, self.epochs, self.images = name, epochs, 0
        self.started = self._looked = time.perf_counter()
        self._bar = tqdm(total=epochs * steps, desc=name, unit="step", file=sys.stderr, leave=True, disable=None)

    @property
    def seconds(self) -> float:
        """Since the training began."""
        return time.perf_counter() - self.started

    def step(self, images: int) -> bool:
        """Counts a step; True when it is time to look at the loss and call `show`."""
        self.images += images
        self._bar.update()
        due = not self._bar.disable and time.perf_counter() - self._looked > _REFRESH
        if due:
            self._looked = time.perf_counter()
        return due

    def show(self, epoch: int, loss: float, dice: float, split: str = "") -> None:
        """Puts figures beside the bar: the mean loss and Dice of this epoch so far, and images a second."""
        rate = f"{self.images / self.seconds:.0f} images/s"
        figures = f"{split}loss {loss:.3f}, {split}Dice {dice:.3f}"
        self._bar.set_postfix_str(f"epoch {epoch}/{self.epochs}, {figures}, {rate}")

    def epoch(self, row: dict[str, float]) -> None:
        """Says how an epoch ended: a row of the history."""
        epoch = int(row["epoch"])
        left = self.seconds / epoch * (self.epochs - epoch)
        line = (
            f"{self.name} {epoch}/{self.epochs}: loss {row['train_loss']:.3f}, valid loss {row['valid_loss']:.3f}, "
            f"Dice {row['train_dice']:.4f}, valid Dice {row['valid_dice']:.4f}, "
            f"{self.images / self.seconds:.0f} images/s, {left / 60:.1f} min left"
        )
        if self._bar.disable:
            print(line, flush=True)
        else:
            self.show(epoch, row["valid_loss"], row["valid_dice"], "valid ")

    def close(self) -> None:
        self._bar.close()
