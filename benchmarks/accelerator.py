"""Steps on an accelerator: their cost, rows a second, and that none of them waits."""

import warnings
from functools import partial

import torch

import invlightning as il
from benchmarks.figures import Figure
from benchmarks.steps import Step, Training, compare, draw_rows

USERS, ITEMS = 6_041, 3_953


def count_waits(step: Step) -> int:
    """How often a step waits for the device, by the count of CUDA itself."""
    for _ in range(3):
        step()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    # Not "synchronizing" alone: switching the mode on warns that it is a prototype.
    return sum("called a synchronizing" in str(warning.message) for warning in found)


def run(quick: bool = False) -> list[Figure]:
    """The figures; none without a CUDA device."""
    if not torch.cuda.is_available():
        return []
    size, rounds = (1_024, 2) if quick else (65_536, 30)
    seconds = compare(USERS, ITEMS, size, rounds, "cuda")
    backbone = il.backbones.NeuMF(USERS, ITEMS, 32).to("cuda")
    rows = draw_rows(USERS, ITEMS, size, "cuda", 8)
    training = Training(backbone, partial(torch.optim.Adam, lr=1e-3, fused=True), rows)
    plain, inverse = seconds["plain"], seconds["IG"]
    how = f"NeuMF d=32, batch {size:,}, Adam"
    return [
        Figure("GPU: IG step / plain BCE step", inverse / plain, 1.5, detail=how),
        Figure("GPU: waits in an IG step", count_waits(training.inverse_gradient), 0, detail=how),
        Figure("GPU: IG", size / inverse / 1e6, unit="M labeled rows/s", detail=how),
        Figure("GPU: plain BCE", size / plain / 1e6, unit="M labeled rows/s", detail=how),
    ]
