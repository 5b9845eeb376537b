"""Timing side by side: every round runs all candidates once, in changing order."""

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import torch

Clock = Callable[[], float]


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Sets the number of threads of torch for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def interleave(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Clock = time.process_time,
    warm_up: int = 2,
) -> dict[str, float]:
    """Median seconds of each candidate.

    CPU time is the default clock: with one thread it is the wall time of a calm machine, and what
    other processes take is not counted.

    Args:
        candidates: What to run, by name.
        rounds: Times that each is run.
        clock: Seconds since any moment.
        warm_up: Rounds that are not counted.

    Returns:
        Seconds by name.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    order = list(candidates)
    gc.collect()
    gc.disable()
    try:
        for number in range(warm_up + rounds):
            for name in order if number % 2 else reversed(order):
                start = clock()
                candidates[name]()
                taken = clock() - start
                if number >= warm_up:
                    times[name].append(taken)
    finally:
        gc.enable()
    return {name: median(values) for name, values in times.items()}


def device_clock(device: str) -> Clock:
    """Wall clock that waits for an accelerator, CPU time on a processor."""
    if device == "cpu":
        return time.process_time

    def clock() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return clock


def memory(key: str) -> int:
    """Bytes of this process: ``VmRSS`` now, ``VmHWM`` at the peak; Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(x.split()[1]) for x in lines if x.startswith(key))
