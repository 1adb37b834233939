"""The arithmetic of benchmarks/scaling.md: what one training step costs on several GPUs, on paper.

    python benchmarks/scaling.py

Parameters, batch norm channels and multiply-adds are counted on the real networks at width 64 and 256 pixels, without
computing anything (torch's meta device). Speeds are assumptions, listed below; nothing here is measured.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from petseg import models
from petseg.config import params
from petseg.config.networks import NETWORKS

PARAMS = Path(__file__).resolve().parents[1] / "params.yaml"
SIZE, WIDTH = 256, 64
RATES = {"unet": 1600, "resnet34_unet": 6000}  # images/s of one H200: the goals of the project, not measurements
BUCKET = 25 * 2**20  # bytes of gradients that DistributedDataParallel sends at once, its default
HOST_WAIT = 30e-6  # seconds that the GPU idles in each batch norm's forward, where torch's SyncBatchNorm waits for it
BACKWARD = 2 / 3  # of a step's computation, during which gradients can travel


@dataclass(frozen=True)
class Cluster:
    """GPUs and what joins them; bandwidth is 80 % of the nominal one."""

    name: str
    gpus: int
    bandwidth: float  # bytes/s, each way, that all links of the slowest kind carry for one ring all-reduce
    latency: float  # seconds of a collective operation on a few kilobytes


CLUSTERS = (
    Cluster("8 GPUs, one node", 8, 0.8 * 450e9, 20e-6),
    Cluster("64 GPUs, 400 Gb/s a GPU", 64, 0.8 * 8 * 50e9, 50e-6),
    Cluster("64 GPUs, 400 Gb/s a node", 64, 0.8 * 50e9, 50e-6),
)


@dataclass(frozen=True)
class Network:
    """What of a network decides the cost of a step."""

    name: str
    parameters: int
    multiply_adds: int  # of one image's forward pass
    training_flops: int  # of one image, forward and backward
    norms: int
    channels: int  # of all batch norms together

    @property
    def gradient_bytes(self) -> int:
        return 4 * self.parameters


def count(name: str) -> Network:
    """Counts on the real network at WIDTH and SIZE; `name` is one of `NETWORKS`."""
    p = params.load(PARAMS, overrides=[f"{name}.width={WIDTH}", f"image_size={SIZE}"])
    with torch.device("meta"):
        network, image = models.build(name, p), torch.empty(1, 3, SIZE, SIZE)
    with FlopCounterMode(display=False) as forward:
        network(image)
    with FlopCounterMode(display=False) as both:
        network(image).sum().backward()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    return Network(
        name=name,
        parameters=models.count_parameters(network),
        multiply_adds=forward.get_total_flops() // 2,
        training_flops=both.get_total_flops(),
        norms=len(norms),
        channels=sum(norm.num_features for norm in norms),
    )


def ring_bytes(size: int, gpus: int) -> float:
    """Bytes that each GPU sends, and receives, in a ring all-reduce of `size` bytes (Patarasuk and Yuan 2009)."""
    return 2 * (gpus - 1) / gpus * size


def gradient_seconds(network: Network, cluster: Cluster) -> tuple[float, float]:
    """Time to all-reduce all gradients, bucket by bucket, and of the last bucket alone, which nothing can hide."""
    buckets = math.ceil(network.gradient_bytes / BUCKET)
    seconds = buckets * cluster.latency + ring_bytes(network.gradient_bytes, cluster.gpus) / cluster.bandwidth
    return seconds, seconds / buckets


def small_seconds(network: Network, cluster: Cluster) -> float:
    """Time of what cannot overlap: a gather forward and a sum backward in each batch norm, and the loss's sum."""
    return (2 * network.norms + 1) * cluster.latency + network.norms * HOST_WAIT


def step_seconds(network: Network, cluster: Cluster, batch: int) -> tuple[float, float, float]:
    """A step with `batch` images a GPU: computation alone, then on the cluster without and with overlap."""
    compute = batch / RATES[network.name]
    gradients, last = gradient_seconds(network, cluster)
    alone = compute + small_seconds(network, cluster)
    return compute, alone + gradients, alone + max(gradients - BACKWARD * compute, last)


def main() -> None:
    networks = [count(name) for name in NETWORKS]
    print("| network | parameters | GMAC an image | TFLOP an image, training | batch norms | their channels |")
    print("|---|---|---|---|---|---|")
    for n in networks:
        flops = f"{n.multiply_adds / 1e9:.1f} | {n.training_flops / 1e12:.3f}"
        print(f"| {n.name} | {n.parameters:,} | {flops} | {n.norms} | {n.channels:,} |")
    print("\n| network, GPUs | gradients, MB | sent by each GPU, MB | batch norm: gathered by each, MB | summed, MB |")
    print("|---|---|---|---|---|")
    for n in networks:
        for gpus in (8, 64):
            sent = ring_bytes(n.gradient_bytes, gpus) / 1e6
            gathered, summed = (gpus - 1) * 4 * (2 * n.channels + n.norms) / 1e6, 4 * 2 * n.channels / 1e6
            print(f"| {n.name}, {gpus} | {n.gradient_bytes / 1e6:.1f} | {sent:.1f} | {gathered:.2f} | {summed:.2f} |")
    print("\n| network | GPUs | gradients, ms | batch norm and loss, ms | 8 images a GPU | 32 | 64 | images/s at 64 |")
    print("|---|---|---|---|---|---|---|---|")
    for n in networks:
        for cluster in CLUSTERS:
            fixed = f"{1e3 * gradient_seconds(n, cluster)[0]:.2f} | {1e3 * small_seconds(n, cluster):.2f}"
            shares = []
            for batch in (8, 32, 64):
                compute, plain, overlapped = step_seconds(n, cluster, batch)
                shares.append(f"{compute / plain:.0%}, {compute / overlapped:.0%}")
            rate = round(cluster.gpus * 64 / overlapped, -3)
            print(f"| {n.name} | {cluster.name} | {fixed} | {' | '.join(shares)} | {rate:,.0f} |")


if __name__ == "__main__":
    main()
