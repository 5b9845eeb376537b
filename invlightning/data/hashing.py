"""Choices at random that do not depend on the order of rows.

Pairs are ranked by a hash of (seed, user, item); the lowest are chosen.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from invlightning.data.seeding import mix_seed

Mask: TypeAlias = NDArray[np.bool_]

_BLOCK = 2**16  # rows that stay in the cache of the processor while they are scrambled


def _mix(values: NDArray[np.uint64]) -> None:
    """Scrambles 64-bit numbers in place, one to one (SplitMix64; Steele et al., OOPSLA 2014)."""
    values += np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values ^= values >> np.uint64(shift)
        values *= np.uint64(factor)
    values ^= values >> np.uint64(31)


def pair_hashes(
    users: NDArray[Any], items: NDArray[Any], seed: int, salt: int = 0
) -> NDArray[np.uint64]:
    """Hashes pairs; distinct pairs have distinct hashes.

    Args:
        users: ``(N,)`` user indices below 2**32.
        items: ``(N,)`` item indices below 2**32.
        seed: Any integer.
        salt: Small number that tells purposes apart.

    Returns:
        ``(N,)`` 64-bit hashes.
    """
    hashes = np.empty(len(users), dtype=np.uint64)
    salted = np.uint64(mix_seed(seed, salt))
    for start in range(0, len(hashes), _BLOCK):
        rows = slice(start, start + _BLOCK)
        block = hashes[rows]
        block[:] = users[rows]
        block <<= np.uint64(32)
        block |= items[rows].astype(np.uint64)
        _mix(block)
        block ^= salted
        _mix(block)
    return hashes


def lowest(values: NDArray[np.uint64], count: int) -> Mask:
    """Marks the ``count`` smallest of ``(N,)`` distinct values."""
    if count == 0:
        return np.zeros(len(values), dtype=bool)
    cut = np.partition(values, count - 1)[count - 1]
    marks: Mask = values <= cut
    return marks
