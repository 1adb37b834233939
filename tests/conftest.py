"""Settings of all tests."""

import os

import torch

# One thread each, here and in the stages that tests start: on a busy machine two threads that wait for each other
# make tiny networks many times slower, and no test measures speed.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)
