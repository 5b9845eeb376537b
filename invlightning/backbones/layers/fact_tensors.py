"""Tensors made of the training data that travel with a backbone."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class FactTensors(nn.Module):
    """Tensors made of the training data, which travel with a backbone to its device.

    They are no buffers: their sizes depend on the data, and DDP would send buffers to all
    processes before every forward. What a checkpoint needs goes through ``get_extra_state``.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "FactTensors":
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, fn(value))
        return self


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
