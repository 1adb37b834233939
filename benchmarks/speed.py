"""How fast we train, beside the plain loop: the reports' way of working, which is written out here as the yardstick.

    python benchmarks/speed.py --raw data/raw --size 64 128 --batch 16

Both see the same photographs at the same size with the same augmentation, and train the same networks with the same
batch. They run one after the other, several times, each in a process of its own; the figures are medians. `--set` and
`--plan` measure one lever: `--set train.precision=fp32 --plan channels_last=false`. Those of `train` and the plan
change our side alone, a network's width both.
"""

import argparse
import json
import os
import sys
import tempfile
import time
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
from torch.utils.flop_counter import FlopCounterMode

from measuring import ROOT, headline, measure, medians, memory
from petseg import machine, models, params, plan
from petseg.data import augment, batches, images, layout, policies
from petseg.data.packed import foreground
from petseg.evaluation import predict
from petseg.losses import bce_dice_loss
from petseg.training import checkpoints, interrupts, keeper, loop, seeding, team

WARM_UP = 3  # steps before the clock starts


def names_in(raw: Path) -> list[str]:
    return [line.split()[0] for line in (raw / "annotations/trainval.txt").read_text().splitlines()]


class Photographs(Dataset):
    """The plain loop's data set: every photograph is decoded again in every epoch."""

    def __init__(self, raw: Path, size: int) -> None:
        self.raw = raw
        self.names = names_in(raw)
        self.transform = A.Compose([*policies.POLICIES["a"](size), A.Normalize(), ToTensorV2()])
        self.size = size

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = Image.open(self.raw / f"images/{self.names[index]}.jpg").convert("RGB")
        mask = Image.open(self.raw / f"annotations/trimaps/{self.names[index]}.png")
        image = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
        mask = mask.resize((self.size, self.size), Image.Resampling.NEAREST)
        pet = (np.array(mask) != 2).astype(np.float32)
        sample = self.transform(image=np.array(image), mask=pet)
        return sample["image"], sample["mask"][None]


def plain_loader(task: dict) -> DataLoader:
    data = Photographs(Path(task["raw"]), task["size"])
    return DataLoader(
        data, task["batch"], shuffle=True, num_workers=machine.workers(), drop_last=True, persistent_workers=True
    )


def plain_train(task: dict) -> dict:
    """fp32, contiguous maps, Adam, and a look at the loss after every step."""
    device = machine.device()
    network = network_of(task).to(device).train()
    network.normalize = nn.Identity()  # the data set has normalised
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loader = plain_loader(task)
    clock, seen, waited = Clock(task, device), 0, 0.0
    while True:
        start = time.perf_counter()
        for image, mask in loader:
            waited += time.perf_counter() - start
            image, mask = image.to(device), mask.to(device)
            optimizer.zero_grad()
            loss = bce_dice_loss(network(image), mask)
            loss.backward()
            optimizer.step()
            loss.item()
            seen += len(image)
            if clock.ends(seen, waited):
                return clock.result()
            start = time.perf_counter()


class Clock(keeper.Keeper):
    """Starts after a few batches, stops after some seconds; in our loop, in the place of the keeper of checkpoints."""

    def __init__(self, task: dict, device: torch.device) -> None:
        super().__init__(checkpoints.Checkpoints("unused", 1e9), interrupts.Watch(), team.Team())
        self.seconds, self.warm_up, self.device = task["seconds"], WARM_UP * task["batch"], device
        self.first: tuple[float, int, float] | None = None
        self.last = (0.0, 0, 0.0)  # time, images, seconds waited

    def ends(self, seen: int, waited: float) -> bool:
        """Takes the time after a step; True when there have been enough."""
        if self.first is None:
            if seen >= self.warm_up:
                self.first = (self.now(), seen, waited)
            return False
        done = time.perf_counter() - self.first[0] >= self.seconds
        if done:
            self.last = (self.now(), seen, waited)
        return done

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def save(self, state: object, progress: object) -> None:
        pass

    def between_steps(self, state: object, progress: object) -> None:
        if self.ends(state.images, progress.waited):
            raise TimeoutError

    def result(self) -> dict:
        seconds, seen, waited = (last - first for first, last in zip(self.first, self.last, strict=True))
        return {"rate": seen / seconds, "waited": waited / seconds, "memory": memory(self.device)}


def our_train(task: dict) -> dict:
    """The real `loop.train`, with all that happens at the end of an epoch but for the validation, of two images."""
    how = our_plan(task)
    clock = Clock(task, how.device)
    training = parameters(task).training(task["network"])
    seeding.seed_everything(training.seed, training.deterministic)
    try:
        loop.train(network_of(task), samples(task), packed(task, 2), training, how, clock, lambda rows: None)
    except TimeoutError:
        return clock.result()


def our_valid(task: dict) -> dict:
    how = our_plan(task)
    network, data = how.place(network_of(task)), packed(task, None)
    loop.evaluate(network, *data, task["batch"], how, team.Team())
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < task["seconds"]:
        loop.evaluate(network, *data, task["batch"], how, team.Team())
        count += len(data[0])
    return {"rate": count / (time.perf_counter() - start)}


def our_test(task: dict) -> dict:
    """As the stage `evaluate`: the Dice at each photograph's original size too."""
    how = our_plan(task)
    raw = Path(task["raw"])
    paths = [layout.trimap_path(raw, name) for name in names_in(raw)]
    network, data = how.place(network_of(task)), packed(task, len(paths))

    def once() -> None:
        predict.score(network, *data, lambda i: foreground(images.read_trimap(paths[i])), task["batch"], how)

    once()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < task["seconds"]:
        once()
        count += len(paths)
    return {"rate": count / (time.perf_counter() - start)}


def plain_loader_rate(task: dict) -> dict:
    return loader_rate(plain_loader(task), task["seconds"])


def our_loader_rate(task: dict) -> dict:
    every = samples(task)
    order = batches.EpochOrder(len(every), task["batch"], seed=0)
    return loader_rate(batches.loader(every, order, machine.workers()), task["seconds"])


def loader_rate(loader: DataLoader, seconds: float) -> dict:
    """Images a second that come out of a loader when nobody trains; all cores prepare them."""
    count, started = 0, None
    while True:
        for batch, _ in loader:
            if started is None:
                started = time.perf_counter()
                continue
            count += len(batch)
            if time.perf_counter() - started >= seconds:
                return {"rate": count / (time.perf_counter() - started)}


def matmul_rate(task: dict) -> dict:
    """FLOP/s of a large matrix product in the precision that we train in."""
    how = our_plan(task)
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


def our_plan(task: dict) -> plan.Plan:
    training = parameters(task).training(task["network"])
    return replace(plan.choose(training, machine.device()), **task["plan"])


def network_of(task: dict) -> nn.Module:
    torch.manual_seed(0)
    return models.build(task["network"], parameters(task))


def packed(task: dict, count: int | None) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.load(Path(task["packed"]) / f"{kind}.npy", mmap_mode="r")[:count] for kind in ("images", "trimaps"))


def samples(task: dict) -> batches.Samples:
    return batches.Samples(*packed(task, None), augment.Augment("a", task["size"]), seed=0)


def flops(task: dict) -> int:
    """Of training on one image: multiplications and additions, each counted, forward and backward."""
    network = network_of(task).train()
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(2, 3, task["size"], task["size"])).sum().backward()
    return counter.get_total_flops() // 2


def pack(raw: Path, size: int, folder: Path) -> None:
    """The trainval photographs as `split` packs them, eight times over, so that an epoch is not over at once."""
    names = names_in(raw)
    pairs = [images.read_pair(layout.image_path(raw, name), layout.trimap_path(raw, name)) for name in names]
    small = [images.resize_image(image, size) for image, _ in pairs], [images.resize_trimap(t, size) for _, t in pairs]
    for kind, arrays in zip(("images", "trimaps"), small, strict=True):
        np.save(folder / f"{kind}.npy", np.concatenate([np.stack(arrays)] * 8))


MEASURES = {
    "plain train": plain_train,
    "our train": our_train,
    "our valid": our_valid,
    "our test": our_test,
    "plain loader": plain_loader_rate,
    "our loader": our_loader_rate,
    "matmul": matmul_rate,
}


def row(task: dict, rounds: int) -> str:
    """One line of the table."""
    plain, ours, valid, test = medians(__file__, task, rounds, "plain train", "our train", "our valid", "our test")
    peak, each = measure(__file__, "matmul", task)["rate"], flops(task)
    width = getattr(parameters(task), task["network"]).width
    return (
        f"| {task['network']} | {width} | {task['size']} | {task['batch']} | {our_plan(task)} | {plain['rate']:.1f} | "
        f"{ours['rate']:.1f} | **{ours['rate'] / plain['rate']:.2f}** | {plain['waited']:.1%} | {ours['waited']:.1%} | "
        f"{each / 1e9:.2f} | {each * ours['rate'] / peak:.0%} | {plain['memory']:.2f} | {ours['memory']:.2f} | "
        f"{valid['rate'] / ours['rate']:.1f} | {test['rate'] / ours['rate']:.1f} |"
    )


COLUMNS = (
    "network, width, pixels, batch, plan, plain images/s, ours images/s, ratio, plain waits, ours waits, GFLOP/image, "
    "of a matrix product, plain GiB, ours GiB, valid / train, test / train"
)
HEAD = f"| {COLUMNS.replace(', ', ' | ')} |\n{'|---' * 16}|"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=layout.RAW, help="photographs, laid out as data/raw")
    parser.add_argument("--network", nargs="+", choices=params.NETWORKS, default=params.NETWORKS)
    parser.add_argument("--size", nargs="+", type=int, default=[64, 128])
    parser.add_argument("--batch", nargs="+", type=int, default=[16])
    parser.add_argument("--seconds", type=float, default=15, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=[], help="key=value of params.yaml, such as unet.width=64")
    parser.add_argument("--plan", nargs="*", default=[], help="key=value of petseg.plan.Plan, a YAML value")
    parser.add_argument("--loader", action="store_true", help="the loaders alone")
    parser.add_argument("--out", type=Path, help="append to this file too")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(MEASURES[options.child[0]](json.loads(options.child[1]))))
        return
    chosen = {key: params.yaml12.parse(value) for key, _, value in (each.partition("=") for each in options.plan)}
    command = f"python benchmarks/speed.py {' '.join(sys.argv[1:])}".replace(str(options.raw), "RAW")
    lines = [f"\n{headline()}\n\n`{command}`\n"]
    print(lines[0], flush=True)
    for size in options.size:
        with tempfile.TemporaryDirectory() as folder:
            pack(options.raw, size, Path(folder))
            task = {"raw": str(options.raw.resolve()), "packed": folder, "size": size, "seconds": options.seconds}
            task |= {"set": options.set, "plan": chosen}
            lines += table(task, options)
    if options.out:
        with options.out.open("a") as file:
            file.write("\n".join(lines) + "\n")


def table(task: dict, options: argparse.Namespace) -> list[str]:
    """The lines for one size; each is printed as soon as it is known."""
    lines = []

    def add(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    for batch in options.batch:
        if options.loader:
            names = {"network": "unet", "batch": batch}
            plain, ours = medians(__file__, task | names, options.rounds, "plain loader", "our loader")
            add(
                f"loaders alone, {task['size']} pixels, batches of {batch}: plain {plain['rate']:.0f} images/s, "
                f"ours {ours['rate']:.0f}, ratio **{ours['rate'] / plain['rate']:.2f}**"
            )
            continue
        add(HEAD)
        for network in options.network:
            add(row(task | {"network": network, "batch": batch}, options.rounds))
    return lines


if __name__ == "__main__":
    main()
