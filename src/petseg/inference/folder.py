"""Predicts many photographs: several at once, in bounded memory, and without repeating finished work."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tqdm import tqdm

from petseg.inference.find import Job
from petseg.inference.outputs import Outputs
from petseg.inference.photo import Photo
from petseg.inference.predictor import Prediction, Predictor
from petseg.runtime import machine
from petseg.runtime.errors import DataError

PIXELS = 64_000_000  # of all photographs in memory at once; a larger photograph is there alone


@dataclass
class Tally:
    """What became of photographs.

    Attributes:
        done: number of photographs that were predicted.
        skipped: number of photographs whose results existed.
        failures: a sentence for each photograph that could not be predicted.
        seconds: time taken.
    """

    done: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Folder:
    """Predicts photographs and writes the results to a folder.

    Each of several threads takes one photograph after the other, from its file to its results: while one decodes or
    encodes, another computes. Pillow, OpenCV and torch let other threads run meanwhile.

    Args:
        model: the networks.
        outputs: what to write.
        threshold: see `Predictor.predict`.
        flips: see `Predictor.predict`.
        open_photo: opens the photograph of a job.
        progress: show a progress bar on a terminal; otherwise print a line for each photograph.
    """

    def __init__(
        self,
        model: Predictor,
        outputs: Outputs,
        threshold: float = 0.5,
        flips: bool = False,
        open_photo: Callable[[Job], Photo] = lambda job: Photo(job.path),
        progress: bool = True,
    ) -> None:
        self.tally = Tally()
        self._model, self._outputs, self._threshold, self._flips = model, outputs, threshold, flips
        self._open, self._progress = open_photo, progress
        self._photo_of: dict[Path, Path] = {}  # by name of the results
        self._memory = _Memory(PIXELS)
        self._stopping = threading.Event()

    def run(self, jobs: Sequence[Job], overwrite: bool = False) -> list[str]:
        """Predicts photographs, and adds to `tally`.

        An exception, such as `Stopped`, ends the threads before it leaves this method; every file is then complete or
        absent.

        Args:
            jobs: the photographs.
            overwrite: also those whose results exist.

        Returns:
            A sentence for each photograph that could not be predicted, in the order of `jobs`.

        Raises:
            PetsegError: the disk is full, or a network's output is NaN.
        """
        start, failures = time.perf_counter(), self._conflicts(jobs)
        todo = [job for job in jobs if job not in failures and (overwrite or not self._is_done(job))]
        self.tally.skipped += len(jobs) - len(failures) - len(todo)
        threads = max(1, min(machine.workers(), len(todo)))
        cores = max(1, torch.get_num_threads() // threads)
        pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(cores,))
        bar = tqdm(total=len(todo), unit="photo", file=sys.stderr, disable=None if self._progress else True)
        try:
            futures = {pool.submit(self._predict, job): job for job in todo}
            for future in as_completed(futures):
                job = futures[future]
                try:
                    self._tell(job, future.result())
                except DataError as error:
                    failures[job] = str(error)
                except MemoryError:
                    failures[job] = f"{job.path} needs more memory than there is; make it smaller."
                bar.update()
        finally:
            self._stopping.set()
            pool.shutdown(cancel_futures=True)
            self._stopping.clear()
            bar.close()
            self.tally.seconds += time.perf_counter() - start
        in_order = [failures[job] for job in jobs if job in failures]
        self.tally.failures += in_order
        return in_order

    def _conflicts(self, jobs: Sequence[Job]) -> dict[Job, str]:
        """Why some photographs cannot be predicted: their results would replace a photograph or others' results."""
        inputs, conflicts = {job.path.resolve() for job in jobs}, {}
        names = {path.name for path in inputs}  # saves most calls of `resolve`
        for job in jobs:
            owner = self._photo_of.setdefault(job.name, job.path)
            if owner != job.path:
                conflicts[job] = f"{job.path} and {owner} would have results of the same name; use another --out."
            for path in self._outputs.paths(job.name):
                if path.name in names and path.resolve() in inputs:
                    conflicts[job] = (
                        f"{job.path} would replace the photograph {path}; choose another folder with --out."
                    )
        return conflicts

    def _is_done(self, job: Job) -> bool:
        return all(path.exists() for path in self._outputs.paths(job.name))

    def _predict(self, job: Job) -> list[str]:
        """Predicts a photograph and writes its results; returns its notes."""
        self._proceed()
        photo = self._open(job)
        width, height = photo.size
        with self._memory.hold(width * height):
            self._proceed()
            maps = self._model.probabilities([self._model.inputs(photo)], self._flips)[0]
            self._outputs.write(Prediction(photo, maps, self._threshold), job.name, self._proceed)
        return photo.notes

    def _proceed(self) -> None:
        if self._stopping.is_set():
            raise CancelledError  # nobody asks for this result

    def _tell(self, job: Job, notes: Sequence[str]) -> None:
        self.tally.done += 1
        if not self._progress:
            print(f"{job.path}: {', '.join(map(str, self._outputs.paths(job.name)))}", flush=True)
        for note in notes:
            tqdm.write(f"note: {job.path}: {note}", file=sys.stderr)


class _Memory:
    """Bounds the number of pixels that are in memory at once."""

    def __init__(self, limit: int) -> None:
        self._limit, self._used, self._changed = limit, 0, threading.Condition()

    @contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Waits until so many more pixels fit, or there are none."""
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + pixels <= self._limit)
            self._used += pixels
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()
