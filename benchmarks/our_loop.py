"""Our side of benchmarks/speed.py: the real loop, validation, scoring and loader, each until the clock stops it.

A task is a dict: `raw` and `packed` (folders), `size`, `batch`, `network`, `seconds`, `set` (of params.yaml), `plan`.
"""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from measuring import ROOT, Clock, loader_rate
from petseg import compute, losses, models
from petseg.batches import augment, on_device
from petseg.batches import train as batches
from petseg.config import params
from petseg.data import images, layout
from petseg.data import packed as arrays
from petseg.data.pack import original_bits
from petseg.evaluation import score
from petseg.runtime import checkpoints, machine, signals
from petseg.training import distributed, loop, seeding, session


class Stopped(session.Keeper):
    """In the place of the keeper of checkpoints: saves nothing, and raises TimeoutError when the clock ends."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(checkpoints.Checkpoints("unused", 1e9), signals.Watch(), distributed.Team())
        self.clock = clock

    def between_steps(self, state: object, progress: object) -> None:
        if self.clock.ends(state.images, progress.waited):
            raise TimeoutError


def train(task: dict) -> dict:
    """The real `loop.train`, with all that happens at the end of an epoch but for the validation, of one batch."""
    how = plan_of(task)
    clock = Clock(task, how.device)
    training = parameters(task).training(task["network"]).model_copy(update={"epochs": 5000})  # which no clock sees end
    seeding.seed_everything(training.seed, training.deterministic)
    try:
        loop.train(
            network_of(task),
            samples(task),
            packed(task, task["batch"]),
            training,
            how,
            Stopped(clock),
            lambda rows: None,
        )
    except TimeoutError:
        return clock.result()


def valid(task: dict) -> dict:
    how = plan_of(task)
    network, loss_of = how.place(network_of(task)), losses.build(parameters(task).loss)
    data = on_device.hold(*packed(task, None), how.device)
    loop.evaluate(network, data, task["batch"], loss_of, how, distributed.Team())
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < task["seconds"]:
        loop.evaluate(network, data, task["batch"], loss_of, how, distributed.Team())
        count += len(data[0])
    return {"rate": count / (time.perf_counter() - start)}


def test(task: dict) -> dict:
    """As the stage `evaluate`: the Dice at each photograph's original size too."""
    how = plan_of(task)
    sizes = np.load(Path(task["packed"]) / "sizes.npy").tolist()
    originals = arrays.Originals(sizes, task["packed"])
    network, data = how.place(network_of(task)), packed(task, len(sizes))

    def once() -> None:
        score.score(network, *data, originals.__getitem__, task["batch"], how)

    once()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < task["seconds"]:
        once()
        count += len(sizes)
    return {"rate": count / (time.perf_counter() - start)}


def loader(task: dict) -> dict:
    every = samples(task)
    order = batches.EpochOrder(len(every), task["batch"], seed=0)
    return loader_rate(batches.loader(every, order, machine.workers()), task["seconds"])


def matmul(task: dict) -> dict:
    """FLOP/s of a large matrix product in the precision that we train in."""
    how = plan_of(task)
    dtype = torch.bfloat16 if how.precision == "bf16" else torch.float32
    n = 8192 if how.device.type == "cuda" else 2048
    a, b = (torch.randn(n, n, device=how.device, dtype=dtype) for _ in range(2))
    clock, done = Clock(task | {"seconds": 2, "batch": 1}, how.device), 0
    while not clock.ends(done, 0.0):
        a @ b
        done += 1
    return {"rate": 2 * n**3 * clock.result()["rate"]}


def parameters(task: dict) -> params.Params:
    return params.load(ROOT / "params.yaml", overrides=[f"image_size={task['size']}", *task["set"]])


def plan_of(task: dict) -> compute.Plan:
    training = parameters(task).training(task["network"])
    return replace(compute.choose(training, machine.device()), **task["plan"])


def network_of(task: dict) -> nn.Module:
    torch.manual_seed(0)
    return models.build(task["network"], parameters(task))


def packed(task: dict, count: int | None) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.load(Path(task["packed"]) / f"{kind}.npy", mmap_mode="r")[:count] for kind in ("images", "trimaps"))


def samples(task: dict) -> batches.Samples:
    """In whole batches, as the plain loop takes them."""
    count = len(packed(task, None)[0]) // task["batch"] * task["batch"]
    return batches.Samples(*packed(task, count), augment.Augment("a", task["size"]), seed=0)


def pack(raw: Path, size: int, folder: Path) -> None:
    """The trainval photographs as `split` packs train and test; eight times over, so that an epoch takes a while."""
    pairs = [images.read_pair(layout.image_path(raw, name), layout.trimap_path(raw, name)) for name in names_in(raw)]
    small = [images.resize_image(image, size) for image, _ in pairs], [images.resize_trimap(t, size) for _, t in pairs]
    for kind, resized in zip(("images", "trimaps"), small, strict=True):
        np.save(folder / f"{kind}.npy", np.concatenate([np.stack(resized)] * 8))
    np.save(folder / "sizes.npy", [trimap.shape[::-1] for _, trimap in pairs])
    (folder / arrays.ORIGINALS).parent.mkdir()
    (folder / arrays.ORIGINALS).write_bytes(b"".join(original_bits(trimap) for _, trimap in pairs))


def names_in(raw: Path) -> list[str]:
    return [line.split()[0] for line in (raw / "annotations/trainval.txt").read_text().splitlines()]
