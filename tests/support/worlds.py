"""Several processes that train together, for tests."""

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
    """What `job(world, *args)` returns and what it prints in each of so many processes, as a list of pairs by rank."""
    context = forks.server("torch", "support.trainings")
    store = dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)  # as torchrun's agent has one
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
        told = [pickle.loads(reader.recv_bytes()) for reader, _ in pipes]
    finally:
        for member in members:
            member.join(5)
            member.kill()
            member.join()
        for reader, _ in pipes:
            reader.close()
    assert all(ended_well for ended_well, _, _ in told), "\n".join(printed for _, printed, _ in told)
    return [(value, printed) for _, printed, value in told]


def _member(rank, size, port, pipe, job, args):
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    os.environ |= {"TORCHELASTIC_RUN_ID": "test", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    printed = io.StringIO()
    try:
        with redirect_stdout(printed), distributed.join(torch.device("cpu")) as world:
            value = job(world, *args)
        told = True, printed.getvalue(), value
    except BaseException:
        told = False, traceback.format_exc(), None
    pipe.send_bytes(pickle.dumps(told))  # not `send`, which would share the tensors' memory and end with this process
