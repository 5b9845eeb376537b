"""Precision and means that the formulas share."""

from typing import Literal

import torch
from torch import Tensor

Reduction = Literal["mean", "sum", "none"]


def as_float(logits: Tensor) -> Tensor:
    """Casts half precision to float32 and leaves float32 and float64 as they are."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def mean_where(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of the entries under a mask, without leaving the device.

    Args:
        values: Any shape; finite also where the mask is False.
        mask: Booleans of that shape; None means everywhere True.

    Returns:
        A scalar; 0 with zero gradients if no entry is under the mask.
    """
    mask = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
    return values.where(mask, 0).sum() / mask.sum().clamp(min=1)
