"""Two processes as torchrun starts them, forked so that nothing is imported again."""

import multiprocessing
import os
import socket

import torch


def run_on_two(work, nodes=1, timeout=60):
    """Calls ``work(rank)`` in two processes that can find each other, and waits for both.

    Args:
        work: Any function; what it finds out it writes to files.
        nodes: 2 makes each believe that it is alone on its node.
        timeout: Seconds after which the processes are ended.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=_start, args=(work, rank, port, nodes)) for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert codes == [0, 0], f"the processes ended with {codes}"


def _start(work, rank, port, nodes):
    torch.set_num_threads(1)  # a thread pool of its own, before other threads ask for one
    os.environ.update(
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        TORCHELASTIC_RUN_ID="test",
        WORLD_SIZE="2",
        LOCAL_WORLD_SIZE="2" if nodes == 1 else "1",
        GROUP_RANK="0" if nodes == 1 else str(rank),
        RANK=str(rank),
        LOCAL_RANK=str(rank) if nodes == 1 else "0",
    )
    work(rank)
