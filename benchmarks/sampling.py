"""Exact uniform sampling of unlabeled items."""

import torch

from benchmarks.figures import Figure
from benchmarks.timing import interleave, threads
from invlightning.data import UniformSampler
from invlightning.types import TrainingFacts


def fitted_sampler(num_users: int, num_items: int, num_pairs: int) -> UniformSampler:
    """A sampler with random known pairs."""
    generator = torch.Generator().manual_seed(0)
    users = torch.randint(num_users, (num_pairs,), generator=generator)
    # Popular items occur more often, as in real data.
    items = (num_items * torch.rand(num_pairs, generator=generator) ** 2).long()
    sampler = UniformSampler()
    labels = torch.ones(len(users))
    sampler.start_fit(TrainingFacts(users, items, labels, num_users, num_items))
    return sampler


def run(quick: bool = False) -> list[Figure]:
    """The figures."""
    pairs, calls, rounds = (10_000, 2, 2) if quick else (1_000_000, 50, 10)
    num_users, num_items, size = 6_040, 3_706, 2_048
    sampler = fitted_sampler(num_users, num_items, pairs)
    generator = torch.Generator().manual_seed(1)
    users = torch.randint(num_users, (size,), generator=generator)

    def draw(number: int) -> None:
        for _ in range(calls):
            sampler.sample(users, number, generator)

    with threads(1):
        seconds = interleave({"1": lambda: draw(1), "4": lambda: draw(4)}, rounds)
    return [
        Figure(
            f"exact uniform sampling, {k} a row",
            calls * size * k / seconds[str(k)] / 1e6,
            target,
            higher_is_better=True,
            unit="M pairs/s",
            detail=f"6,040 x 3,706, {pairs:,} known pairs, batch {size:,}, one thread",
        )
        for k, target in ((1, 2.5), (4, 6.0))
    ]
