"""Values grouped by their key, side by side in memory."""

import torch
from torch import Tensor, nn


def group(keys: Tensor, values: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Groups values by their key, in the order in which they come.

    Args:
        keys: ``(E,)`` keys ``0 .. size-1``.
        values: ``(E,)``.
        size: Number of keys.

    Returns:
        ``(size + 1,)`` int32 offsets and ``(E,)`` int32 values; those of key k stand from
        ``offsets[k]`` to ``offsets[k + 1]``.
    """
    counts = torch.bincount(keys, minlength=size)
    offsets = nn.functional.pad(counts.cumsum(0), (1, 0)).int()
    return offsets, values[keys.argsort(stable=True)].int()
