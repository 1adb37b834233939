"""Tests in several processes that train together."""

import io
import os
import pickle
import traceback
from contextlib import redirect_stdout

import torch
import torch.distributed as dist

from petseg.training import distributed
from support import forks


def run(size, job, *args):
    """Runs `job(world, *args)` in `size` processes; returns for each rank its return value and its output."""
    context = forks.server("torch", "support.trainings")
    store = dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)  # as in torchrun's agent
    pipes = [context.Pipe(duplex=False) for _ in range(size)]
    members = [
        context.Process(target=_member, args=(rank, size, store.port, pipes[rank][1], job, args))
        for rank in range(size)
    ]
    for member in members:
        member.start()
    for _, writer in pipes:
        writer.close()
    try:
        results = [pickle.loads(reader.recv_bytes()) for reader, _ in pipes]
    finally:
        for member in members:
            member.join(5)
            member.kill()
            member.join()
        for reader, _ in pipes:
            reader.close()
    assert all(succeeded for succeeded, _, _ in results), "\n".join(printed for _, printed, _ in results)
    return [(value, printed) for _, printed, value in results]


def _member(rank, size, port, pipe, job, args):
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    os.environ |= {"TORCHELASTIC_RUN_ID": "test", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    printed = io.StringIO()
    try:
        with redirect_stdout(printed), distributed.join(torch.device("cpu")) as world:
            value = job(world, *args)
        result = True, printed.getvalue(), value
    except BaseException:
        result = False, traceback.format_exc(), None
    # Not `send`, which would share the memory of tensors: it ends with this process.
    pipe.send_bytes(pickle.dumps(result))
