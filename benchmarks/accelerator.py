"""Steps on an accelerator: their cost, rows a second, and that none of them waits."""

import torch

from benchmarks.figures import Figure
from benchmarks.steps import compare


def run(quick: bool = False) -> list[Figure]:
    """The figures; none without a CUDA device."""
    if not torch.cuda.is_available():
        return []
    size, rounds = (1_024, 2) if quick else (65_536, 30)
    before = torch.cuda.get_sync_debug_mode()
    seconds = compare(6_041, 3_953, size, rounds, "cuda")
    torch.cuda.set_sync_debug_mode(before)
    plain, inverse = seconds["plain"], seconds["inverse_gradient"]
    how = f"NeuMF d=32, batch {size:,}, Adam"
    return [
        Figure("GPU: IG step / plain BCE step", inverse / plain, 1.5, detail=how),
        Figure("GPU: IG", size / inverse / 1e6, unit="M labeled rows/s", detail=how),
        Figure("GPU: plain BCE", size / plain / 1e6, unit="M labeled rows/s", detail=how),
    ]
