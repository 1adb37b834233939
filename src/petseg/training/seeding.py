"""Seeds and deterministic algorithms: equal runs give equal bytes on one machine."""

import os
import random

import numpy as np
import torch


def seed_everything(seed: int, deterministic: bool = True) -> None:
    """Seeds Python, NumPy and torch (all devices), and asks torch for deterministic algorithms.

    With the same versions on the same machine, two runs then give the same bytes. torch warns where a GPU has no
    deterministic algorithm.

    Args:
        deterministic: False lets a GPU use the fastest algorithms, whose results differ slightly from run to run.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = not deterministic
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required by cuBLAS
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    # Nothing reads uninitialized memory, and filling it took a tenth of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
