"""Equal seeds, equal bytes."""

import os
import random

import numpy as np
import torch


def seed_everything(seed: int, deterministic: bool = True) -> None:
    """Seeds Python, NumPy and torch (all devices), and asks torch for deterministic algorithms.

    On one machine with one set of versions two runs then give the same bytes. On a GPU that holds as far as torch has
    a deterministic algorithm; where it has none it warns.

    Args:
        deterministic: False lets a GPU choose the fastest algorithms instead, which differ a little from run to run.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = not deterministic
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS is not deterministic
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # nothing reads it; filling took a tenth of a step
