"""A training as something that can be stopped and resumed: checkpoints, signals, and the processes that take part."""

import contextlib
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import torch

from petseg.compute import Plan, explain_out_of_memory
from petseg.config.training import Training
from petseg.runtime import checkpoints, signals
from petseg.runtime.locks import try_lock
from petseg.training import distributed
from petseg.training.distributed import World
from petseg.training.state import TrainingState


class Checkpointer:
    """Resumes and saves a training. All processes call its methods at the same steps; the main one writes.

    Args:
        store: the checkpoints of this training.
        watch: notices signals.
        world: the processes that train together.
    """

    def __init__(self, store: checkpoints.Checkpoints, watch: signals.Watch, world: World) -> None:
        self.store, self.watch, self.world = store, watch, world

    @property
    def stop_requested(self) -> bool:
        """Whether a signal asked this process to stop."""
        return self.watch.signal is not None

    def resume(self, state: TrainingState) -> bool:
        """Loads the newest checkpoint into `state`; False if there is none."""
        saved = self.world.from_main(self.store.load)
        if saved is not None:
            state.load_state_dict(saved)
        return saved is not None

    def maybe_save(self, state: TrainingState) -> None:
        """Saves a checkpoint if one is due or a process was asked to stop; in the latter case ends the training.

        Raises:
            Interrupted: a signal asked one of the processes to stop.
            PetsegError: the disk is full.
        """
        stop, due = self.world.any(self.stop_requested, self.world.is_main and self.store.due())
        if stop or due:
            self.save(state)
        if stop:
            self.world.barrier()  # until the main process has saved
            raise signals.Interrupted(self.watch.signal or signal.SIGTERM, str(state))

    def save(self, state: TrainingState) -> None:
        """Saves a checkpoint; raises PetsegError if the disk is full."""
        if self.world.is_main:
            with self.watch.saving():
                self.store.save(state.state_dict())


@contextmanager
def open_session(
    training: Training, plan: Plan, data_sha256: str, start_sha256: str | None
) -> Iterator[tuple[World, Checkpointer]]:
    """Yields the processes and the checkpointer of a training; removes its checkpoints at the end, unless it failed.

    If another process runs the same training, this one waits for it.

    Args:
        data_sha256: see `petseg.data.fingerprint`.
        start_sha256: of the weights file that the training starts from, if any.

    Raises:
        PetsegError: memory ran out, or another process died.
    """
    folder = checkpoint_folder() / f"{training.network}-{fingerprint(training, data_sha256, start_sha256)}"
    at_once = training.micro_batch or training.batch_size
    with signals.watch() as watch, distributed.join(plan.device) as world, exclusive(folder, world):
        store = checkpoints.Checkpoints(folder, checkpoints.interval())
        with explain_out_of_memory(plan, at_once, training.image_size, memory_remedies(training)):
            yield world, Checkpointer(store, watch, world)
        if world.is_main:
            store.clear()
            checkpoints.remove_outdated(folder.parent)


def checkpoint_folder() -> Path:
    """.petseg/checkpoints of the project; also for a queued experiment, whose own folder DVC removes at its end."""
    return Path(os.environ.get("DVC_ROOT") or ".") / ".petseg" / "checkpoints"


def fingerprint(training: Training, data_sha256: str, start_sha256: str | None = None) -> str:
    """Identifies a training, as 16 hex digits: only the same training may resume from a checkpoint.

    Covers parameters, data, initial weights, and code: all modules of petseg that are loaded, and the versions of the
    libraries that compute.
    """
    modules = sorted((name, module.__file__) for name, module in sys.modules.items() if name.split(".")[0] == "petseg")
    code = {name: hashlib.sha256(Path(file).read_bytes()).hexdigest() for name, file in modules if file}
    libraries = [torch.__version__, version("numpy"), version("albumentations")]
    identity = [training.model_dump(), data_sha256, start_sha256, code, libraries]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def exclusive(folder: Path, world: World) -> Iterator[None]:
    """Holds a lock on `folder`, and waits while another training has it."""
    lock = try_lock(folder / "lock") if world.is_main else contextlib.nullcontext()
    if lock is None:
        print("another process runs exactly this training; waiting for it to end", flush=True)
    while world.any(lock is None)[0]:
        time.sleep(0.2)
        lock = lock or try_lock(folder / "lock")
    with lock or contextlib.nullcontext():
        yield


def memory_remedies(training: Training) -> list[str]:
    """What to try if memory runs out, the best first."""
    at_once = training.micro_batch or training.batch_size
    half_size = training.image_size // 128 * 64  # networks need multiples of 64 at most
    half_width = max(4, training.width // 2)  # pyright: ignore[reportAttributeAccessIssue]  # of the architecture
    remedies = [f"train.micro_batch={at_once // 2}"] if at_once > 2 else []
    remedies += [f"image_size={half_size}"] if half_size else []
    return [*remedies, f"{training.network}.width={half_width}"]
