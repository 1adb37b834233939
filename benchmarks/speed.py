"""Images per second of training, validation, scoring and data loading.

    python benchmarks/speed.py --raw data/raw --size 64 128
    python benchmarks/speed.py --raw data/raw --size 128 --against ../petseg-0.1    # beside another checkout
    python benchmarks/speed.py --raw data/raw --size 256 --loader                   # data loading alone

Training is compared with a plain loop, written out below in the way of the reports: every image is decoded again in
every epoch, float32 (TF32 on a GPU), Adam, and the loss is read after every step. Each measurement runs in a process of
its own, in turns; the table has medians. `--set` and `--plan` do not change the plain loop, except for the width of a
network; with `--against` they change both checkouts.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import numpy as np
import torch
from albumentations.pytorch import ToTensorV2
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from measuring import ROOT, commit, headline, medians
from petseg import compute, losses, models
from petseg.batches.policies import POLICIES
from petseg.batches.train import EpochSampler, TrainDataset
from petseg.batches.train import loader as train_loader
from petseg.config import params
from petseg.config.networks import NETWORKS
from petseg.config.overrides import parse_yaml
from petseg.data import images, layout, packed
from petseg.data.pack import original_bits
from petseg.evaluation.score import score
from petseg.runtime import machine
from petseg.runtime.checkpoints import Checkpoints
from petseg.runtime.signals import Watch
from petseg.training import loop, seeding
from petseg.training.distributed import World
from petseg.training.session import Checkpointer
from petseg.training.state import TrainingState

WARM_UP = 16  # steps before the clock starts
HERE = Path(__file__)


class Clock:
    """Measures images per second from the end of the warm-up until `seconds` have passed."""

    def __init__(self, task: dict, device: torch.device) -> None:
        self.seconds, self.warm_up, self.device = task["seconds"], WARM_UP * task["batch"], device
        self.start = self.stop = (0.0, 0, 0.0)  # time, images, seconds waited

    def is_over(self, seen: int, waited: float) -> bool:
        """To be called after each step."""
        if seen < self.warm_up:
            return False
        if not self.start[1]:
            self.start = (self._now(), seen, waited)
        over = time.perf_counter() - self.start[0] >= self.seconds
        if over:
            self.stop = (self._now(), seen, waited)
        return over

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def result(self) -> dict[str, float]:
        seconds, seen, waited = (stop - start for start, stop in zip(self.start, self.stop, strict=True))
        return {"rate": seen / seconds, "waited": waited / seconds, "memory": peak_memory(self.device)}


def peak_memory(device: torch.device) -> float:
    """GiB at the peak, of the GPU, or of this process and its workers."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    pids = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
    peaks = [re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()) for pid in pids]
    return sum(int(peak[1]) for peak in peaks if peak) / 2**20


class Photographs(Dataset):
    """The data of the plain loop."""

    def __init__(self, raw: Path, size: int) -> None:
        self.raw, self.names, self.size = raw, names_in(raw), size
        self.transform = A.Compose([*POLICIES["a"](size), A.Normalize(), ToTensorV2()])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = Image.open(layout.image_path(self.raw, self.names[index])).convert("RGB")
        trimap = Image.open(layout.trimap_path(self.raw, self.names[index]))
        image = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
        mask = np.array(trimap.resize((self.size, self.size), Image.Resampling.NEAREST)) != 2
        sample = self.transform(image=np.array(image), mask=mask.astype(np.float32))
        return sample["image"], sample["mask"][None]


def plain_train(task: dict) -> dict[str, float]:
    device = machine.device()
    network = network_of(task).to(device).train()
    network.normalize = nn.Identity()  # the data are normalized
    optimizer, loss_of = torch.optim.Adam(network.parameters(), lr=1e-3), losses.Loss(entropy=1.0, dice=1.0)
    data = Photographs(Path(task["raw"]), task["size"])
    batches = DataLoader(
        data, task["batch"], shuffle=True, num_workers=machine.workers(), drop_last=True, persistent_workers=True
    )
    clock, seen, waited = Clock(task, device), 0, 0.0
    while True:
        start = time.perf_counter()
        for image, mask in batches:
            waited += time.perf_counter() - start
            image, mask = image.to(device), mask.to(device)
            optimizer.zero_grad()
            loss = loss_of(network(image), mask)
            loss.backward()
            optimizer.step()
            loss.item()
            seen += len(image)
            if clock.is_over(seen, waited):
                return clock.result()
            start = time.perf_counter()


class StopWatch(Checkpointer):
    """Saves nothing, and ends the training when the clock is over."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(Checkpoints("unused", 1e9), Watch(), World())
        self.clock = clock

    def maybe_save(self, state: TrainingState) -> None:
        if self.clock.is_over(state.images, state.seconds_waited):
            raise TimeoutError


def our_train(task: dict) -> dict[str, float]:
    """The real `loop.train`, with a validation of one batch per epoch."""
    plan, training = plan_of(task), params_of(task).training(task["network"]).model_copy(update={"epochs": 5000})
    clock = Clock(task, plan.device)
    seeding.seed_everything(training.seed, training.deterministic)
    valid = arrays(task, task["batch"])
    with contextlib.suppress(TimeoutError):
        loop.train(
            network_of(task), dataset_of(task), valid, training, plan, World(), StopWatch(clock), lambda history: None
        )
    return clock.result()


def our_valid(task: dict) -> dict[str, float]:
    plan, data = plan_of(task), arrays(task)
    network, loss = plan.place(network_of(task)), losses.build(params_of(task).loss)
    return repeat(lambda: loop.validate(network, data, task["batch"], loss, plan, World()), len(data[0]), task)


def our_test(task: dict) -> dict[str, float]:
    """Scoring as in the stage evaluate, with Dice at the original size of each image."""
    plan = plan_of(task)
    network, loss = plan.place(network_of(task)), losses.build(params_of(task).loss)
    sizes = np.load(Path(task["packed"]) / "sizes.npy").tolist()
    originals = packed.Originals(sizes, task["packed"])
    images, trimaps = arrays(task, len(sizes))
    return repeat(lambda: score(network, images, trimaps, originals, task["batch"], plan, loss), len(sizes), task)


def our_loader(task: dict) -> dict[str, float]:
    """Data loading with a worker per core and nothing else to do."""
    dataset = dataset_of(task, task.get("policy", "a"))
    sampler = EpochSampler(len(dataset), task["batch"], seed=0, epochs=10_000)
    count, start = 0, 0.0
    for step, (batch, _) in enumerate(train_loader(dataset, sampler, machine.workers(), pin_memory=False)):
        count += len(batch)
        if step == WARM_UP:
            count, start = 0, time.perf_counter()
        elif step > WARM_UP and time.perf_counter() - start >= task["seconds"]:
            break
    return {"rate": count / (time.perf_counter() - start)}


def repeat(run: Callable[[], object], images: int, task: dict) -> dict[str, float]:
    run()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < task["seconds"]:
        run()
        count += images
    return {"rate": count / (time.perf_counter() - start)}


def params_of(task: dict) -> params.Params:
    return params.load(ROOT / "params.yaml", overrides=[f"image_size={task['size']}", *task["set"]])


def plan_of(task: dict) -> compute.Plan:
    training = params_of(task).training(task["network"])
    return replace(compute.choose(training, machine.device()), **task["plan"])


def network_of(task: dict) -> nn.Module:
    torch.manual_seed(0)
    return models.build(task["network"], params_of(task))


def arrays(task: dict, count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    folder = Path(task["packed"])
    return tuple(np.load(folder / f"{kind}.npy", mmap_mode="r")[:count] for kind in ("images", "trimaps"))  # pyright: ignore


def dataset_of(task: dict, policy: str = "a") -> TrainDataset:
    """Whole batches only, as in the plain loop."""
    images, trimaps = arrays(task)
    whole = len(images) // task["batch"] * task["batch"]
    return TrainDataset(images[:whole], trimaps[:whole], policy, seed=0)


def pack(raw: Path, size: int, folder: Path) -> None:
    """Packs the trainval images as the stage split does, eight times over, so that an epoch takes a while."""
    pairs = [images.read_pair(layout.image_path(raw, name), layout.trimap_path(raw, name)) for name in names_in(raw)]
    np.save(folder / "images.npy", np.concatenate([np.stack([images.resize_image(i, size) for i, _ in pairs])] * 8))
    np.save(folder / "trimaps.npy", np.concatenate([np.stack([images.resize_trimap(t, size) for _, t in pairs])] * 8))
    np.save(folder / "sizes.npy", [trimap.shape[::-1] for _, trimap in pairs])
    (folder / packed.ORIGINALS).parent.mkdir()
    (folder / packed.ORIGINALS).write_bytes(b"".join(original_bits(trimap) for _, trimap in pairs))


def names_in(raw: Path) -> list[str]:
    """The trainval images."""
    return [entry.name for entry in layout.read_lists(raw)[0]]


MEASURES = {
    "plain train": plain_train,
    "our train": our_train,
    "our valid": our_valid,
    "our test": our_test,
    "our loader": our_loader,
}


def setting(task: dict) -> str:
    """The first cells of a row."""
    width = params_of(task).network(task["network"]).width
    return f"| {task['network']} | {width} | {task['size']} | {task['batch']} | {plan_of(task)} |"


def training_row(task: dict, options: argparse.Namespace) -> str:
    measures = [
        (HERE, "plain train", task),
        (HERE, "our train", task),
        (HERE, "our valid", task),
        (HERE, "our test", task),
    ]
    plain, ours, valid, test = medians(measures, options.rounds)
    rate = ours["rate"]
    return (
        f"{setting(task)} {plain['rate']:.1f} | {rate:.1f} | **{rate / plain['rate']:.2f}** | {ours['waited']:.1%} | "
        f"{plain['memory']:.2f} | {ours['memory']:.2f} | {valid['rate'] / rate:.1f} | {test['rate'] / rate:.1f} |"
    )


def against_row(task: dict, options: argparse.Namespace) -> str:
    """Both checkouts train the same width in the same precision, whatever their params.yaml says."""
    network, precision = task["network"], plan_of(task).precision
    width = params_of(task).network(network).width
    task = task | {"set": [*task["set"], f"{network}.width={width}", f"train.precision={precision}"]}
    other = options.against / "benchmarks" / "speed.py"
    before, after = medians([(other, "our train", task), (HERE, "our train", task)], options.rounds)
    ratio = after["rate"] / before["rate"]
    return (
        f"{setting(task)} {before['rate']:.1f} | {after['rate']:.1f} | **{ratio:.2f}** | {before['waited']:.1%} | "
        f"{after['waited']:.1%} |"
    )


def loader_row(task: dict, options: argparse.Namespace) -> str:
    measures = [(HERE, "our loader", task | {"policy": policy}) for policy in options.policy]
    rates = [each["rate"] for each in medians(measures, options.rounds)]
    cores = machine.workers()
    told = (f"{p} {rate:.0f}, {rate / cores:.0f} per core" for p, rate in zip(options.policy, rates, strict=True))
    return f"data loading, {task['size']} pixels, batches of {task['batch']}, images/s: {'; '.join(told)}"


FIRST = "network, width, pixels, batch, plan"
TRAINING = f"{FIRST}, plain images/s, ours, ratio, ours waits, plain GiB, ours GiB, valid / train, test / train"
AGAINST = f"{FIRST}, before images/s, after, ratio, before waits, after waits"


def head(columns: str) -> str:
    names = columns.split(", ")
    return f"| {' | '.join(names)} |\n{'|---' * len(names)}|"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=layout.RAW, help="photographs in the layout of data/raw")
    parser.add_argument("--network", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="networks to measure")
    parser.add_argument("--size", nargs="+", type=int, default=[64, 128], help="height and width of the images, pixels")
    parser.add_argument("--batch", nargs="+", type=int, default=[16], help="images per batch")
    parser.add_argument("--seconds", type=float, default=15, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions, of which the medians are reported")
    parser.add_argument("--set", nargs="*", default=[], help="key=value of params.yaml, such as unet.width=64")
    parser.add_argument("--plan", nargs="*", default=[], help="key=value of petseg.compute.Plan, a YAML value")
    parser.add_argument("--against", type=Path, help="compare training with that of another checkout")
    parser.add_argument("--loader", action="store_true", help="measure data loading alone")
    parser.add_argument("--policy", nargs="+", choices=POLICIES, default=["a", "petseg"], help="of --loader")
    parser.add_argument("--out", type=Path, help="append the output to this file")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(MEASURES[options.child[0]](json.loads(options.child[1]))))
        return
    plan = {key: parse_yaml(value, key) for key, _, value in (each.partition("=") for each in options.plan)}
    command = f"python benchmarks/speed.py {' '.join(sys.argv[1:])}".replace(str(options.raw), "RAW")
    command = command.replace(str(options.against), "OTHER")
    other = f"; OTHER is commit {commit(options.against)}" if options.against else ""
    lines = [f"\n{headline()}\n\n`{command}`{other}\n"]
    print(lines[0], flush=True)
    row, columns = (against_row, AGAINST) if options.against else (training_row, TRAINING)
    if not options.loader:
        lines.append(head(columns))
        print(lines[-1], flush=True)
    for size in options.size:
        with tempfile.TemporaryDirectory() as folder:
            pack(options.raw, size, Path(folder))
            shared = {"raw": str(options.raw.resolve()), "packed": folder, "size": size, "seconds": options.seconds}
            shared["plan"] = plan
            for batch in options.batch:
                for network in options.network[:1] if options.loader else options.network:
                    task = shared | {"network": network, "batch": batch, "set": [f"batch_size={batch}", *options.set]}
                    lines.append(loader_row(task, options) if options.loader else row(task, options))
                    print(lines[-1], flush=True)
    if options.out:
        with options.out.open("a") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
