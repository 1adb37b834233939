"""Estimates the cost of a training step on several GPUs, and prints the tables of benchmarks/scaling.md.

Parameters, batch norm channels and multiply-adds are counted on the real networks at width 64 and 256 pixels, on
torch's meta device, which computes nothing. Speeds are assumptions, listed in this file. Nothing is measured.
"""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from measuring import training_flops
from petseg import models
from petseg.config import params
from petseg.config.networks import NETWORKS

PARAMS = Path(__file__).resolve().parents[1] / "params.yaml"
SIZE, WIDTH = 256, 64
RATES = {"unet": 1600, "resnet34_unet": 6000}  # images/s of one H200: the goals of the project, not measurements
BUCKET = 25 * 2**20  # bytes of gradients per all-reduce, the default of DistributedDataParallel
HOST_WAIT = 30e-6  # seconds that the GPU idles per forward pass of torch's SyncBatchNorm, which synchronizes the CPU
BACKWARD = 2 / 3  # share of the computation with which communication of gradients can overlap


@dataclass(frozen=True)
class Cluster:
    """GPUs and their interconnect; bandwidth is 80 % of the nominal one."""

    name: str
    gpus: int
    bandwidth: float  # bytes/s in each direction, of all links of the slowest kind together, for one ring all-reduce
    latency: float  # seconds per collective operation on a few kilobytes


CLUSTERS = (
    Cluster("8 GPUs, one node", 8, 0.8 * 450e9, 20e-6),
    Cluster("64 GPUs, 400 Gb/s per GPU", 64, 0.8 * 8 * 50e9, 50e-6),
    Cluster("64 GPUs, 400 Gb/s per node", 64, 0.8 * 50e9, 50e-6),
)


@dataclass(frozen=True)
class Network:
    """The numbers of a network that determine the cost of a step."""

    name: str
    parameters: int
    multiply_adds: int  # per image, forward
    training_flops: int  # per image, forward and backward
    norms: int  # batch norm layers
    channels: int  # of all batch norm layers together

    @property
    def label(self) -> str:
        return NETWORKS[self.name].label

    @property
    def gradient_bytes(self) -> int:
        return 4 * self.parameters


def count(name: str) -> Network:
    """Counts on the real network at WIDTH and SIZE; `name` is a key of `NETWORKS`."""
    p = params.load(PARAMS, overrides=[f"{name}.width={WIDTH}", f"image_size={SIZE}"])
    with torch.device("meta"):
        network, image = models.build(name, p), torch.empty(1, 3, SIZE, SIZE)
    with FlopCounterMode(display=False) as forward:
        network(image)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    return Network(
        name=name,
        parameters=models.count_parameters(network),
        multiply_adds=forward.get_total_flops() // 2,
        training_flops=training_flops(network, SIZE),
        norms=len(norms),
        channels=sum(norm.num_features for norm in norms),
    )


def ring_bytes(size: int, gpus: int) -> float:
    """Bytes that each GPU sends and receives in a ring all-reduce of `size` bytes (Patarasuk and Yuan 2009)."""
    return 2 * (gpus - 1) / gpus * size


def gradient_seconds(network: Network, cluster: Cluster) -> tuple[float, float]:
    """Seconds to all-reduce the gradients, and of these the last bucket, which cannot overlap with computation."""
    buckets = math.ceil(network.gradient_bytes / BUCKET)
    seconds = buckets * cluster.latency + ring_bytes(network.gradient_bytes, cluster.gpus) / cluster.bandwidth
    return seconds, seconds / buckets


def small_seconds(network: Network, cluster: Cluster) -> float:
    """Seconds of communication that cannot overlap: batch norm (a gather forward, a sum backward) and the loss."""
    return (2 * network.norms + 1) * cluster.latency + network.norms * HOST_WAIT


def step_seconds(network: Network, cluster: Cluster, batch: int) -> tuple[float, float, float]:
    """Seconds of a step with `batch` images per GPU: computation alone, on the cluster without and with overlap."""
    compute = batch / RATES[network.name]
    gradients, last = gradient_seconds(network, cluster)
    alone = compute + small_seconds(network, cluster)
    return compute, alone + gradients, alone + max(gradients - BACKWARD * compute, last)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    networks = [count(name) for name in NETWORKS]
    print("| network | parameters | GMAC per image | TFLOP per image, training | batch norms | their channels |")
    print("|---|---|---|---|---|---|")
    for n in networks:
        flops = f"{n.multiply_adds / 1e9:.1f} | {n.training_flops / 1e12:.3f}"
        print(f"| {n.label} | {n.parameters:,} | {flops} | {n.norms} | {n.channels:,} |")
    print("\n| network, GPUs | gradients, MB | sent by each GPU, MB | batch norm: gathered by each, MB | summed, MB |")
    print("|---|---|---|---|---|")
    for n in networks:
        for gpus in (8, 64):
            sent = ring_bytes(n.gradient_bytes, gpus) / 1e6
            gathered, summed = (gpus - 1) * 4 * (2 * n.channels + n.norms) / 1e6, 4 * 2 * n.channels / 1e6
            print(f"| {n.label}, {gpus} | {n.gradient_bytes / 1e6:.1f} | {sent:.1f} | {gathered:.2f} | {summed:.2f} |")
    print("\n| network | GPUs | gradients, ms | batch norm, loss, ms | 8 images per GPU | 32 | 64 | images/s at 64 |")
    print("|---|---|---|---|---|---|---|---|")
    for n in networks:
        for cluster in CLUSTERS:
            fixed = f"{1e3 * gradient_seconds(n, cluster)[0]:.2f} | {1e3 * small_seconds(n, cluster):.2f}"
            shares = []
            for batch in (8, 32, 64):
                compute, plain, overlapped = step_seconds(n, cluster, batch)
                shares.append(f"{compute / plain:.0%}, {compute / overlapped:.0%}")
            rate = round(cluster.gpus * 64 / overlapped, -3)
            print(f"| {n.label} | {cluster.name} | {fixed} | {' | '.join(shares)} | {rate:,.0f} |")


if __name__ == "__main__":
    main()
