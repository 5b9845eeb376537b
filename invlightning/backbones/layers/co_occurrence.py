"""How often two items are liked by the same users, a block of items at a time."""

from collections.abc import Iterator

import torch
from torch import Tensor

from invlightning.backbones.layers.graph import PositivePairs

# Entries of the largest matrix of a block that is in memory at a time.
_BLOCK = 2**24


def co_occurrences(
    pairs: PositivePairs, dtype: torch.dtype | None = None
) -> Iterator[tuple[slice, Tensor]]:
    """Counts, for blocks of items beside all items, the users who like both.

    R'R, where R has a row for each user, a column for each item and a one for each positive pair.
    Takes a time proportional to the positive pairs times the items.

    Args:
        pairs: The positive pairs.
        dtype: Type of the counts. None means the default precision.

    Yields:
        Which items, and their counts beside all items ``(I, b)``.
    """
    num_items, device = pairs.num_items, pairs.user_items.device
    step = max(1, _BLOCK // max(num_items, pairs.num_users))
    for start in range(0, num_items, step):
        block = slice(start, min(start + step, num_items))
        width = block.stop - start
        chosen = torch.zeros(num_items, width, dtype=dtype, device=device)
        chosen[block] = torch.eye(width, dtype=dtype, device=device)
        yield block, pairs.sum_users(pairs.sum_items(chosen))
