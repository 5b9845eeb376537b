"""The cost of a row-sparse step against the size of the catalogue, and its memory."""

import json
import subprocess
import sys
from functools import partial
from typing import Any

import torch

import invlightning as il
from benchmarks.figures import Figure
from benchmarks.steps import Training, draw_rows
from benchmarks.timing import interleave, memory, threads
from invlightning.optim import RowSparseAdam

SMALL = (10_000, 10_000)
LARGE = (10_000_000, 1_000_000)
SIZES = [SMALL, (100_000, 30_000), (1_000_000, 100_000), LARGE]
# Dense tables stop here: a step at the next size would take seconds.
DENSE_SIZES = SIZES[:3]
BATCHES = 64
TURN = 5  # steps


def make_training(num_users: int, num_items: int, size: int, sparse: bool) -> Training:
    """GMF d=16 with row-sparse tables, or with dense ones and the Adam of torch."""
    torch.manual_seed(0)
    backbone = il.backbones.GMF(num_users, num_items, 16, sparse=sparse)
    optimizer: Any = RowSparseAdam if sparse else torch.optim.Adam
    rows = draw_rows(num_users, num_items, size, "cpu", BATCHES)
    return Training(backbone, partial(optimizer, lr=1e-3), rows)


def peak_over_need(num_users: int, num_items: int, size: int) -> tuple[float, int]:
    """Peak memory of some steps over parameters and optimizer state, and these bytes.

    To be called in a process of its own: what earlier work has left free is not counted.
    """
    before = memory("VmRSS")
    training = make_training(num_users, num_items, size, sparse=True)
    take_turn(training)
    need = 3 * sum(p.numel() * p.element_size() for p in training.parameters)
    return (memory("VmHWM") - before) / need, need


def memory_figure(num_users: int, num_items: int, size: int) -> Figure:
    """The figure of :func:`peak_over_need`, from a fresh process."""
    arguments = [str(number) for number in (num_users, num_items, size)]
    command = [sys.executable, "-m", "benchmarks.scale", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    peak, need = json.loads(done.stdout)
    return Figure(
        "peak memory / (parameters + optimizer state)",
        peak,
        1.1,
        detail=f"{num_users:,} x {num_items:,}, batch {size:,}, row-sparse: {need / 1e9:.2f} GB",
    )


def step_times(
    sizes: list[tuple[int, int]], size: int, rounds: int, sparse: bool
) -> dict[tuple[int, int], float]:
    """Seconds of an inverse gradient step by size of the catalogue, all side by side."""
    turns = {f"{u} {i}": partial(take_turn, make_training(u, i, size, sparse)) for u, i in sizes}
    seconds = interleave(turns, rounds)
    return {key: value / TURN for key, value in zip(sizes, seconds.values(), strict=True)}


def take_turn(training: Training) -> None:
    """Some steps in a row, so that each finds the caches as in training."""
    for _ in range(TURN):
        training.inverse_gradient()


def run(quick: bool = False) -> list[Figure]:
    """The figures."""
    size, rounds = (256, 2) if quick else (4096, 30)
    large = (100_000, 10_000) if quick else LARGE
    how = f"GMF d=16, batch {size:,}, RowSparseAdam, one thread"
    with threads(1):
        seconds = step_times([SMALL, large], size, rounds, sparse=True)
    small_step, large_step = seconds[SMALL], seconds[large]
    shown = f"{1000 * large_step:.2f} ms against {1000 * small_step:.2f} ms"
    users, items = large
    step = Figure(
        f"IG step at {users:,} x {items:,} / at 10,000 x 10,000",
        large_step / small_step,
        1.4,
        detail=f"{how}: {shown}",
    )
    return [step] if quick else [step, memory_figure(*large, size)]


def curve(quick: bool = False) -> dict[str, list[dict[str, float]]]:
    """Step time against catalogue size, for the plot."""
    size, rounds = (256, 2) if quick else (4096, 20)
    found = {}
    with threads(1):
        for name, sizes, sparse in (
            ("row-sparse (RowSparseAdam)", SIZES[:2] if quick else SIZES, True),
            ("dense (torch.optim.Adam)", SIZES[:1] if quick else DENSE_SIZES, False),
        ):
            seconds = step_times(sizes, size, rounds if sparse else max(2, rounds // 4), sparse)
            found[name] = [
                {"rows": users + items, "milliseconds": 1000 * value}
                for (users, items), value in seconds.items()
            ]
    return found


if __name__ == "__main__":
    print(json.dumps(peak_over_need(*map(int, sys.argv[1:]))))
