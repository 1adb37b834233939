"""What a training step costs the processor that drives a GPU: operations, and the time to issue them.

    python benchmarks/host.py

Counted and timed on one CPU thread, with channels last and bf16 as on a GPU, but with so narrow a network and so small
images that computing takes next to nothing: what is left is Python, autograd and torch's dispatch. On a GPU each of
these operations is a kernel or two that the host launches without waiting, so a GPU whose work takes longer than the
host's is never kept waiting, and a CUDA graph of the step would gain nothing.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from measuring import ROOT, headline
from petseg import compute, losses, models, optim
from petseg.config import params
from petseg.config.networks import NETWORKS
from petseg.training.distributed import Team
from petseg.training.step import Step

TINY = ["image_size=64", "unet.width=4", "resnet34_unet.width=4"]
IMAGES = 2
NO_KERNEL = {"view", "_unsafe_view", "detach", "slice", "expand", "permute", "t", "alias", "unsqueeze", "squeeze"}
NO_KERNEL |= {"select", "as_strided", "empty", "empty_like", "empty_strided", "reshape", "transpose", "new_empty"}


class Counter(TorchDispatchMode):
    """Counts the operations that compute something."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.overloadpacket.__name__ not in NO_KERNEL
        return func(*args, **kwargs or {})


def step(name: str) -> Callable[[], None]:
    """One step of training as `loop.train` takes it, on images that are there already."""
    settings = params.load(ROOT / "params.yaml", overrides=TINY)
    training = settings.training(name)
    how = replace(compute.choose(training, torch.device("cpu")), precision="bf16", channels_last=True)
    network = how.place(models.build(name, settings))
    optimizer = optim.build(network, training.optimizer, training.lr)
    take = Step(network, optimizer, losses.build(training.loss), training.clip, how, Team())
    size = training.image_size
    images, masks = torch.randint(256, (IMAGES, size, size, 3), dtype=torch.uint8), torch.rand(IMAGES, size, size) > 0.5
    return lambda: take(*how.inputs(images, masks), [slice(IMAGES)])


def main() -> None:
    torch.set_num_threads(1)
    print(f"{headline()}\n\n| network | operations a step | ms a step |\n|---|---|---|")
    for name in NETWORKS:
        take, times = step(name), []
        for _ in range(100):
            start = time.perf_counter()
            take()
            times.append(time.perf_counter() - start)
        with Counter() as counter:
            take()
        print(f"| {name} | {counter.count} | {1000 * statistics.median(times):.1f} |")


if __name__ == "__main__":
    main()
