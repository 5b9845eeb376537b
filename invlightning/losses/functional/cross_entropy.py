"""Cross entropy and its denoised forms."""

import torch
from torch import Tensor
from torch.nn import functional as F

from invlightning.losses.functional.reduction import (
    Reduction,
    as_float,
    check_reduction,
    reduce,
)

# Rows to drop are counted in float32, where drop_rate * rows may lie just above a whole number.
_COUNT_SLACK = 1e-3


def cross_entropy(logits: Tensor, labels: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Binary cross entropy: y L+ + (1 - y) L-.

    Args:
        logits: Scores, any shape.
        labels: 0 or 1, or a number between, of any dtype and the same shape.
        reduction: ``mean`` and ``sum`` give a scalar, ``none`` the shape of ``logits``.

    Returns:
        The loss; float32 for half precision, else of the dtype of ``logits``.

    Raises:
        ValueError: If ``reduction`` is unknown.

    Example:
        >>> logits, labels = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0])
        >>> cross_entropy(logits, labels)
        tensor(0.2201)
        >>> cross_entropy(logits, labels, reduction="none")
        tensor([0.1269, 0.3133])
    """
    check_reduction(reduction)
    scores = as_float(logits)
    # Reduced there, not by reduce(): its gradient is rounded once.
    return F.binary_cross_entropy_with_logits(scores, labels.to(scores.dtype), reduction=reduction)


def naive_negative_loss(logits: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Cross entropy that calls every unlabeled pair a negative: L- = softplus(s).

    Args:
        logits: Scores of unlabeled pairs, any shape.
        reduction: ``mean`` and ``sum`` give a scalar, ``none`` the shape of ``logits``.

    Returns:
        The loss; float32 for half precision, else of the dtype of ``logits``.

    Raises:
        ValueError: If ``reduction`` is unknown.

    Example:
        >>> naive_negative_loss(torch.tensor([2.0, -1.0]))
        tensor(1.2201)
    """
    return cross_entropy(logits, torch.zeros_like(logits), reduction=reduction)


def truncated_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    drop_rate: Tensor,
    mask: Tensor | None = None,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Cross entropy without the positives of largest loss (T-CE).

    Of n rows, the ceil(drop_rate * n) positives of largest loss are dropped, or all positives if
    there are fewer. Negatives are never dropped.
    Source: Wang et al., WSDM 2021, arXiv 2006.04153, Truncated Loss, as released.

    Args:
        logits: ``(N,)`` scores.
        labels: ``(N,)`` 0 or 1.
        drop_rate: Share of all rows to drop, in [0, 1]; a 0-dim tensor on the device.
        mask: ``(N,)`` rows that exist; None means all.
        reduction: ``mean`` and ``sum`` give a scalar over the rows that stay, ``none`` gives
            ``(N,)`` with 0 where a row does not stay.

    Returns:
        The loss; 0 with zero gradients if no row stays.

    Raises:
        ValueError: If ``reduction`` is unknown.

    Example:
        >>> logits, labels = torch.tensor([2.0, -3.0]), torch.tensor([1.0, 1.0])
        >>> truncated_cross_entropy(logits, labels, drop_rate=torch.tensor(0.5))
        tensor(0.1269)
    """
    losses = cross_entropy(logits, labels, reduction="none")
    exists = torch.ones_like(losses, dtype=torch.bool) if mask is None else mask
    candidates = exists & (labels > 0.5)
    # Others come after every candidate, whose losses are at least 0.
    order = losses.detach().where(candidates, -1).argsort(descending=True, stable=True)
    num_drop = (drop_rate * exists.sum() - _COUNT_SLACK).ceil()
    first = torch.arange(order.numel(), device=order.device) < num_drop
    dropped = torch.empty_like(first).scatter(0, order, first)
    return reduce(losses, reduction, exists & ~(candidates & dropped))


def reweighted_cross_entropy(
    logits: Tensor, labels: Tensor, alpha: float, *, reduction: Reduction = "mean"
) -> Tensor:
    """Cross entropy, weighted by p^alpha for positives, (1 - p)^alpha for negatives.

    The weights are constants of the differentiation (R-CE). Source: Wang et al., WSDM 2021, arXiv
    2006.04153, Reweighted Loss.

    Args:
        logits: Scores, any shape.
        labels: 0 or 1, the same shape.
        alpha: Exponent of the weights, 0 or more; 0 is plain cross entropy.
        reduction: ``mean`` and ``sum`` give a scalar, ``none`` the shape of ``logits``.

    Returns:
        The loss; float32 for half precision.

    Raises:
        ValueError: If ``reduction`` is unknown.

    Example:
        >>> logits, labels = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0])
        >>> reweighted_cross_entropy(logits, labels, alpha=0.2)
        tensor(0.2090)
    """
    losses = cross_entropy(logits, labels, reduction="none")
    weights = (-alpha * losses.detach()).exp()  # the likelihood of the label is exp(-loss)
    return reduce(weights * losses, reduction)
