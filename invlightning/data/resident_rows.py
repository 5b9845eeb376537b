"""Training rows that lie on the device, so that a batch is gathered there and nothing is sent."""

import pytorch_lightning as pl
import torch
from torch import Tensor

from invlightning.data.row_tuples import Rows

SHARE = 0.25  # of the free memory that rows may take; the network and its steps need the rest


def free_memory(device: torch.device) -> int:
    """Free bytes of a CUDA device; 0 of others, to which nothing is moved."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


def resident(rows: Rows, trainer: pl.Trainer | None) -> Rows:
    """Moves rows to the device that trains if they fit there.

    Args:
        rows: Tensors ``(N, ...)``. An epoch in its own order is a second copy of them.
        trainer: Knows the device. None leaves the rows where they are.

    Returns:
        The rows on that device, or as they were, if it is no CUDA device or has too little memory.
    """
    if trainer is None:
        return rows
    device = trainer.strategy.root_device
    columns = [column for column in rows if isinstance(column, Tensor)]
    needed = 2 * sum(column.nbytes for column in columns)
    if needed > SHARE * free_memory(device):
        return rows
    return rows._make(c.to(device) if isinstance(c, Tensor) else c for c in rows)
