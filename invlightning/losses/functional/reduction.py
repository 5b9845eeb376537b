"""Precision, means and reductions that the formulas share."""

from typing import Literal, get_args

import torch
from torch import Tensor

Reduction = Literal["mean", "sum", "none"]


def as_float(logits: Tensor) -> Tensor:
    """Casts half precision to float32 and leaves float32 and float64 as they are.

    Example:
        >>> as_float(torch.tensor([1.0], dtype=torch.float16)).dtype
        torch.float32
    """
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def mean_where(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of the entries under a mask, without leaving the device.

    Args:
        values: Any shape; finite also where the mask is False.
        mask: Booleans of that shape; None means everywhere True.

    Returns:
        A scalar; 0 with zero gradients if no entry is under the mask.

    Example:
        >>> mean_where(torch.tensor([1.0, 3.0, 8.0]), torch.tensor([True, True, False]))
        tensor(2.)
    """
    mask = torch.ones_like(values, dtype=torch.bool) if mask is None else mask
    return values.where(mask, 0).sum() / mask.sum().clamp(min=1)


def check_reduction(reduction: str) -> None:
    """Refuses what is no :data:`Reduction`.

    Raises:
        ValueError: If ``reduction`` is unknown.
    """
    if reduction not in get_args(Reduction):
        raise ValueError(f"reduction is {reduction!r}, expected 'mean', 'sum' or 'none'.")


def reduce(losses: Tensor, reduction: Reduction, mask: Tensor | None = None) -> Tensor:
    """Reduces the losses of rows as asked.

    Args:
        losses: One loss a row, any shape; finite also where the mask is False.
        reduction: ``mean`` and ``sum`` give a scalar, ``none`` the shape of ``losses``.
        mask: Rows that count; the others are 0 under ``none`` and ``sum`` and no part of the mean.
            None means all.

    Returns:
        The losses or their mean or sum; 0 with zero gradients if no row is under the mask.

    Raises:
        ValueError: If ``reduction`` is unknown.

    Example:
        >>> reduce(torch.tensor([1.0, 3.0]), "sum")
        tensor(4.)
    """
    check_reduction(reduction)
    if reduction == "mean":
        return losses.mean() if mask is None else mean_where(losses, mask)
    losses = losses if mask is None else losses.where(mask, 0)
    return losses.sum() if reduction == "sum" else losses
