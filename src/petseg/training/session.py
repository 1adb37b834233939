"""Keeps a training safe: goes on where it was stopped, saves now and then, stops when asked to."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from petseg.compute import Plan
from petseg.config.training import Training
from petseg.runtime import checkpoints, signals
from petseg.runtime.progress import Progress
from petseg.training import distributed, memory
from petseg.training.state import State


class Keeper:
    """The training calls `resume` once and `between_steps` wherever its state is whole.

    Args:
        store: the checkpoints of this very training.
        watch: says whether somebody wants it to stop.
        processes: all that train together; rank 0 writes.
    """

    def __init__(self, store: checkpoints.Checkpoints, watch: signals.Watch, processes: distributed.Team) -> None:
        self.store, self.watch, self.team = store, watch, processes

    def resume(self, state: State) -> bool:
        """Puts `state` where the newest checkpoint stands; False if there is none."""
        saved = self.team.from_leader(self.store.load)
        if saved is not None:
            state.load_dict(saved, dices=self.team.leads)
        return saved is not None

    def between_steps(self, state: State, progress: Progress) -> None:
        """Saves if it is time to, and ends the training if it is to stop: all processes do so at the same step.

        Args:
            progress: of the same training, which knows how long it has taken.

        Raises:
            Interrupted: a signal came to one of the processes; a checkpoint was written.
            PetsegError: the disk is full.
        """
        stop, due = self.team.any_of_each(self.watch.signal is not None, self.team.leads and self.store.due())
        if stop or due:
            self.save(state, progress)
        if stop:
            self.team.wait()  # for rank 0, which saves
            raise signals.Interrupted(self.watch.signal or signal.SIGTERM, str(state))

    def save(self, state: State, progress: Progress) -> None:
        """Writes a checkpoint; called by all processes.

        Raises:
            PetsegError: the disk is full.
        """
        dices = self.team.sum(state.dices)
        if self.team.leads:
            with self.watch.saving():
                self.store.save(state.to_dict(dices, progress.seconds))


@contextmanager
def session(training: Training, plan: Plan, data_sha256: str) -> Iterator[Keeper]:
    """Yields the keeper of this training; after a good end, and only then, its checkpoints are removed.

    Raises:
        PetsegError: memory ran out, or another process of the team died.
    """
    folder = checkpoints.home() / f"{training.network}-{checkpoints.fingerprint(training, plan.precision, data_sha256)}"
    with signals.watch() as watch, distributed.join(plan.device) as processes, checkpoints.alone(folder, processes):
        store = checkpoints.Checkpoints(folder, checkpoints.interval())
        with memory.explained(training, plan, _smaller(training)):
            yield Keeper(store, watch, processes)
        if processes.leads:
            store.clear()
            checkpoints.remove_outdated(folder.parent)


def _smaller(training: Training) -> list[str]:
    """What to try where memory ran out."""
    at_once = training.micro_batch or training.batch_size
    size = int(training.image_size / 2**0.5) // 64 * 64
    choices = [f"{training.network}.width={max(4, training.width // 2)}"]
    if size >= 64:
        choices.insert(0, f"image_size={size}")
    if training.micro_batch is None and at_once > 2:
        choices.insert(0, f"batch_size={at_once // 2}")
    if at_once > 2:
        choices.insert(0, f"train.micro_batch={at_once // 2}, which computes the same batch in parts")
    return choices
