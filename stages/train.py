"""Train one network: packed train and validation splits -> weights, metrics and one row per epoch.

python stages/train.py unet
torchrun --standalone --nproc-per-node 4 stages/train.py unet
"""

import _here  # noqa: F401

import argparse

from petseg.config.networks import NETWORKS
from petseg.runtime import errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=NETWORKS)
    name = parser.parse_args().network
    from petseg.training import run  # takes seconds, which --help should not

    run.run(name)


if __name__ == "__main__":
    errors.run(main)
