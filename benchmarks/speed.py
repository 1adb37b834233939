"""How fast we train, beside the plain loop: the reports' way of working, which is written out here as the yardstick.

    python benchmarks/speed.py --raw data/raw --size 64 128 --batch 16

Both see the same photographs at the same size with the same augmentation, and train the same networks with the same
batch. They run one after the other, several times, each in a process of its own; the figures are medians. `--set` and
`--plan` measure one lever: `--set train.precision=fp32 --plan channels_last=false`. Those of `train` and the plan
change our side alone, a network's width both. The plain loop leaves torch as it comes: on a GPU its convolutions round
float32 to TF32.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2
import numpy as np
import torch
from albumentations.pytorch import ToTensorV2
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

import our_loop
from measuring import Clock, headline, loader_rate, measure, medians, training_flops
from petseg.batches import policies
from petseg.config.networks import NETWORKS
from petseg.config.overrides import parse_yaml
from petseg.data import layout
from petseg.losses import Loss
from petseg.runtime import machine


class Photographs(Dataset):
    """The plain loop's data set: every photograph is decoded again in every epoch."""

    def __init__(self, raw: Path, size: int) -> None:
        self.raw = raw
        self.names = our_loop.names_in(raw)
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
    cv2.setNumThreads(-1)  # as many as it likes, which importing petseg's augmentation has changed
    data = Photographs(Path(task["raw"]), task["size"])
    return DataLoader(
        data, task["batch"], shuffle=True, num_workers=machine.workers(), drop_last=True, persistent_workers=True
    )


def plain_train(task: dict) -> dict:
    """fp32, contiguous maps, Adam, and a look at the loss after every step."""
    device = machine.device()
    network = our_loop.network_of(task).to(device).train()
    network.normalize = nn.Identity()  # the data set has normalised
    optimizer, loss_of = torch.optim.Adam(network.parameters(), lr=1e-3), Loss(entropy=1.0, dice=1.0)
    loader = plain_loader(task)
    clock, seen, waited = Clock(task, device), 0, 0.0
    while True:
        start = time.perf_counter()
        for image, mask in loader:
            waited += time.perf_counter() - start
            image, mask = image.to(device), mask.to(device)
            optimizer.zero_grad()
            loss = loss_of(network(image), mask)
            loss.backward()
            optimizer.step()
            loss.item()
            seen += len(image)
            if clock.ends(seen, waited):
                return clock.result()
            start = time.perf_counter()


def plain_loader_rate(task: dict) -> dict:
    return loader_rate(plain_loader(task), task["seconds"])


MEASURES = {
    "plain train": plain_train,
    "our train": our_loop.train,
    "our valid": our_loop.valid,
    "our test": our_loop.test,
    "plain loader": plain_loader_rate,
    "our loader": our_loop.loader,
    "matmul": our_loop.matmul,
}


def row(task: dict, rounds: int) -> str:
    """One line of the table."""
    plain, ours, valid, test = medians(__file__, task, rounds, "plain train", "our train", "our valid", "our test")
    peak, each = measure(__file__, "matmul", task)["rate"], training_flops(our_loop.network_of(task), task["size"])
    width, how = getattr(our_loop.parameters(task), task["network"]).width, our_loop.plan_of(task)
    return (
        f"| {task['network']} | {width} | {task['size']} | {task['batch']} | {how} | {plain['rate']:.1f} | "
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
    parser.add_argument("--network", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--size", nargs="+", type=int, default=[64, 128])
    parser.add_argument("--batch", nargs="+", type=int, default=[16])
    parser.add_argument("--seconds", type=float, default=15, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=[], help="key=value of params.yaml, such as unet.width=64")
    parser.add_argument("--plan", nargs="*", default=[], help="key=value of petseg.compute.Plan, a YAML value")
    parser.add_argument("--loader", action="store_true", help="the loaders alone")
    parser.add_argument("--out", type=Path, help="append to this file too")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(MEASURES[options.child[0]](json.loads(options.child[1]))))
        return
    chosen = {key: parse_yaml(value, key) for key, _, value in (each.partition("=") for each in options.plan)}
    command = f"python benchmarks/speed.py {' '.join(sys.argv[1:])}".replace(str(options.raw), "RAW")
    lines = [f"\n{headline()}\n\n`{command}`\n"]
    print(lines[0], flush=True)
    for size in options.size:
        with tempfile.TemporaryDirectory() as folder:
            our_loop.pack(options.raw, size, Path(folder))
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
