"""Equal seeds, equal bytes."""

import os
import random

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seeds Python, NumPy and torch (all devices), and asks torch for deterministic algorithms.

    On one machine with one set of versions two runs then give the same bytes. On a GPU that holds as far as torch has
    a deterministic algorithm; where it has none it warns.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with a fixed workspace
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
