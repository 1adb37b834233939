"""Where the time of a training step goes: forward and backward pass and optimizer, without data loading.

    python benchmarks/step.py default laptop --size 64 128

`default` is params.yaml as it is, the others are recipes. The share of the peak compares a step's floating-point
operations per second with those of a large matrix product in float32, measured in the same run. The shares of the
operators come from torch's profiler.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch

import gpu
from measuring import ROOT, headline, training_flops
from petseg import compute, losses, models, optim
from petseg.config import params
from petseg.config.networks import NETWORKS
from petseg.training.distributed import World
from petseg.training.step import forward_backward

WARM_UP, STEPS = 4, 16
OPERATORS = {  # columns of the table, and how the operators begin that count for them
    "convolutions": ("aten::convolution_backward", "aten::mkldnn_convolution", "aten::_convolution"),
    "batch norm": ("aten::native_batch_norm",),
    "optimizer": ("aten::_fused_adam",),
    "copies": ("aten::copy_",),
}
COLUMNS = ("parameters", "network", "pixels", "batch", "ms", "images/s", "GFLOP/image", "of the peak", *OPERATORS)


def step_of(network: str, settings: params.Params) -> tuple[Callable[[], None], float]:
    """A function that trains on one random batch, and its floating-point operations."""
    training, size, world = settings.training(network), settings.image_size, World()
    plan = compute.choose(training, torch.device("cpu"))
    torch.manual_seed(0)
    model = plan.place(models.build(network, settings)).train()
    optimizer, loss = optim.build(model, training.optimizer, training.lr), losses.build(training.loss)
    images = torch.randint(0, 256, (training.batch_size, size, size, 3), dtype=torch.uint8)
    masks = torch.rand(training.batch_size, size, size) < 0.5

    def step() -> None:
        optimizer.zero_grad()
        forward_backward(model, images, masks, world.micro_batches(len(images), None), loss, plan, world)
        optimizer.step()

    return step, training_flops(model, size) * len(images)


def seconds(step: Callable[[], None]) -> float:
    """Median time of a step."""
    times = []
    for _ in range(WARM_UP + STEPS):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return median(times[WARM_UP:])


def operator_shares(step: Callable[[], None]) -> list[float]:
    """The share of each entry of OPERATORS in the time of a step."""
    with torch.profiler.profile() as profile:
        for _ in range(5):
            step()
    events = profile.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    return [
        sum(event.self_cpu_time_total for event in events if event.key.startswith(names)) / total
        for names in OPERATORS.values()
    ]


def row(name: str, network: str, size: int, overrides: list[str], peak: float) -> str:
    recipe = None if name == "default" else name
    settings = params.load(ROOT / "params.yaml", recipe, [f"image_size={size}", *overrides])
    step, flops = step_of(network, settings)
    took, batch = seconds(step), settings.training(network).batch_size
    cells = [name, network, size, batch, f"{took * 1e3:.0f}", f"{batch / took:.0f}", f"{flops / batch / 1e9:.2f}"]
    cells += [f"**{flops / took / peak:.0%}**", *(f"{share:.0%}" for share in operator_shares(step))]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parameters", nargs="+", metavar="default|RECIPE", help="sets of parameters")
    parser.add_argument("--size", type=int, nargs="+", default=[64, 128], help="height and width of the images, pixels")
    parser.add_argument("--network", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="networks to measure")
    parser.add_argument("--set", nargs="*", default=[], help="key=value of params.yaml, such as batch_size=64")
    options = parser.parse_args()
    peak = gpu.matrix_product({})["flops"]
    print(f"{headline()}; matrix product {peak / 1e9:.0f} GFLOP/s\n")
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    for name in options.parameters:
        for size in options.size:
            for network in options.network:
                print(row(name, network, size, options.set, peak), flush=True)


if __name__ == "__main__":
    main()
