"""Curves of a training for TensorBoard, if PETSEG_TENSORBOARD names a folder for them. They change no result."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from petseg.runtime.errors import PetsegError

VARIABLE = "PETSEG_TENSORBOARD"
Row = Mapping[str, float]  # scores of an epoch, such as `valid_dice`, and its number, `epoch`


def open_curves(name: str) -> Callable[[Sequence[Row]], None]:
    """Returns a function that writes the epochs of a history which it has not written yet; it does nothing by default.

    The curves of network `name` are in the folder EXPERIMENT/NAME, or TIME/NAME outside of an experiment, below the one
    that PETSEG_TENSORBOARD names. A relative path starts at the project, also for queued experiments. Training and
    validation share a chart.

    Raises:
        PetsegError: TensorBoard is not installed.
    """
    folder = os.environ.get(VARIABLE)
    if not folder:
        return lambda history: None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise PetsegError(
            f"{VARIABLE} is set, but TensorBoard is not installed; run `pip install tensorboard`, or unset {VARIABLE}."
        ) from None
    run = os.environ.get("DVC_EXP_NAME") or time.strftime("%m%d-%H%M%S")
    top = Path(os.environ.get("DVC_ROOT") or ".", folder)
    # A training that was resumed writes all epochs again; the earlier ones of the same experiment are purged.
    writer = SummaryWriter(str(top / run / name), purge_step=1)
    written = 0

    def write(history: Sequence[Row]) -> None:
        nonlocal written
        for row in history[written:]:
            for key, value in row.items():
                split, _, score = key.partition("_")
                if key != "epoch":
                    writer.add_scalar(f"{score}/{split}" if score else key, value, int(row["epoch"]))
        written = len(history)
        writer.flush()

    return write
