"""Metrics of labeled rows, all from one sort."""

import torch

from benchmarks.figures import Figure
from benchmarks.timing import interleave, threads
from invlightning.metrics import LabeledMetrics


def run(quick: bool = False) -> list[Figure]:
    """The figures."""
    rows, num_users, rounds = (3_000, 1_000, 2) if quick else (300_000, 100_000, 7)
    generator = torch.Generator().manual_seed(0)
    users = torch.randint(num_users, (rows,), generator=generator)
    labels = torch.randint(2, (rows,), generator=generator).float()
    scores = torch.rand(rows, generator=generator)
    metrics = LabeledMetrics(k=10)

    def compute() -> None:
        metrics.reset()
        for part in zip(*(column.split(8192) for column in (scores, labels, users)), strict=True):
            metrics.update(*part)
        metrics.compute()

    with threads(1):
        seconds = interleave({"all": compute}, rounds)["all"]
    return [
        Figure(
            "AUC + GAUC + NDCG@10 + MRR of labeled rows",
            seconds,
            0.15,
            unit="s",
            detail=f"{rows:,} rows, {num_users:,} users, with HARM@10 and log loss, one thread",
        )
    ]
