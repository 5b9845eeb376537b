"""Seeds that depend on where in a run they are used, and on nothing else."""

from typing import Any

import torch

_MASK = 2**64 - 1
# Uses of the seed of a batch: they draw different numbers.
INNER, OUTER = 1, 2


def _splitmix64(state: int) -> int:
    """One output of SplitMix64 (Steele, Lea and Flood 2014, OOPSLA, figure 17)."""
    state = (state + 0x9E3779B97F4A7C15) & _MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
    return state ^ (state >> 31)


def mix_seed(*numbers: int) -> int:
    """Hashes integers to one seed.

    Args:
        numbers: Integers of at most 64 bits; their order and how many there are count.

    Returns:
        A seed in ``0 .. 2**63 - 1``, fit for ``torch.Generator.manual_seed``. Two different
        tuples share a seed with probability 2**-63.
    """
    state = 0
    for number in numbers:
        state = _splitmix64(state ^ (number & _MASK))
    return state >> 1


def batch_seed(seed: int, epoch: int, batch: int, rank: int, part: int = 0) -> int:
    """Seed of everything random about one batch.

    Args:
        seed: Seed of the run.
        epoch: Epoch, counted from 0.
        batch: Batch within the epoch.
        rank: Process that trains on the batch.
        part: 0 for supervised rows, 1 for meta rows.

    Returns:
        A seed in ``0 .. 2**63 - 1``.
    """
    return mix_seed(seed, epoch, batch, rank, part)


def seed_batch(batch: Any, use: int) -> None:
    """Seeds the global random generators from ``batch.seed``; batches without one change nothing.

    Args:
        batch: A batch, best with a ``seed`` that is its own.
        use: ``INNER`` or ``OUTER``; they draw different numbers.
    """
    seed = getattr(batch, "seed", 0)
    if not seed:
        return
    # Where there is no accelerator, manual_seed would still note the call, with the whole stack,
    # for each kind of device that might come: up to a millisecond a batch.
    seed_all = torch.manual_seed if torch.accelerator.is_available() else _seed_processor
    seed_all(mix_seed(seed, use))


def _seed_processor(seed: int) -> None:
    torch.default_generator.manual_seed(seed)
