"""Losses of the hardest pairs of a positive and a drawn item."""

import torch
from torch import Tensor
from torch.nn import functional as F

from invlightning.losses.functional.contrast import rows_with_pairs
from invlightning.losses.functional.reduction import Reduction, as_float, reduce


def hardest_margin(
    positives: Tensor,
    unlabeled: Tensor,
    margin: float = 1.0,
    mask: Tensor | None = None,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Simplified sampled softmax cross entropy: max(0, margin + max_j s_j - s_i).

    With K drawn items and the margin log K it is at most log 2 below the softmax over them and the
    positive. Source: Yang et al., arXiv 2406.16170, section 3 (SimCE).

    Args:
        positives: ``(B,)`` scores s_i.
        unlabeled: ``(B, K)`` scores s_j.
        margin: By how much a positive is to lead.
        mask: ``(B, K)`` False where there is no pair; None means everywhere True.
        reduction: ``mean`` and ``sum`` give a scalar, ``none`` ``(B,)`` losses.

    Returns:
        The loss; float32 for half precision.

    Raises:
        ValueError: If ``reduction`` is unknown.

    Example:
        >>> positives, unlabeled = torch.tensor([2.0, 0.5]), torch.tensor([[1.0], [1.5]])
        >>> hardest_margin(positives, unlabeled, reduction="none")
        tensor([0., 2.])
    """
    scores = as_float(unlabeled)
    scores = scores if mask is None else scores.where(mask, torch.finfo(scores.dtype).min)
    # Of equal ones the first: a mean over them would depend on the order no less.
    hardest = scores.gather(1, scores.argmax(1, keepdim=True)).squeeze(1)
    losses = (margin + hardest - as_float(positives)).relu()
    return reduce(losses, reduction, rows_with_pairs(mask))


def lower_left_partial_auc(
    positives: Tensor,
    unlabeled: Tensor,
    users: Tensor,
    alpha: float,
    beta: float,
    counted: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Mean of softplus(s_j - s_i) in the lower left of the ROC curve of each user.

    There, a positive i is among the share ``alpha`` of the user's positives that score best (true
    positive rate up to alpha) and a drawn item j among the share ``beta`` of those that score best
    (false positive rate up to beta); both shares are rounded up. With alpha = beta = 1 it is BPR.
    Source: Shi et al., WWW 2024, arXiv 2403.00844, section 3. Departure: the two thresholds are
    quantiles of the rows at hand, where the paper bounds them by a minimax problem of single rows.

    Args:
        positives: ``(B,)`` scores s_i.
        unlabeled: ``(B, K)`` scores s_j.
        users: ``(B,)`` user indices.
        alpha: Share of the positives of a user that count, in (0, 1].
        beta: Share of the drawn items of a row that count, in (0, 1].
        counted: ``(B,)`` False for rows that are no positives; None means all are.
        mask: ``(B, K)`` False where there is no pair; None means everywhere True.
        reduction: ``mean`` over the positives that count, ``sum``, or ``none``, ``(B,)`` losses, 0
            for the others.

    Returns:
        The loss; float32 for half precision.

    Raises:
        ValueError: If ``reduction`` is unknown.

    Example:
        >>> positives, unlabeled = torch.tensor([2.0, 0.5]), torch.tensor([[1.0, 3.0], [1.5, 0.0]])
        >>> users = torch.tensor([7, 7])
        >>> lower_left_partial_auc(positives, unlabeled, users, alpha=0.5, beta=0.5)
        tensor(1.3133)
    """
    scores, exists = as_float(unlabeled), torch.ones_like(unlabeled, dtype=torch.bool)
    exists = exists if mask is None else mask
    ordered = scores.where(exists, torch.finfo(scores.dtype).min).sort(1, descending=True).values
    places = torch.arange(scores.shape[1], device=scores.device)
    kept = places < (beta * exists.sum(1, keepdim=True)).ceil()
    losses = F.softplus(ordered - as_float(positives).unsqueeze(1)).where(kept, 0).sum(1)
    losses = losses / kept.sum(1).clamp(min=1)
    taking_part = exists.any(1) if counted is None else exists.any(1) & counted
    return reduce(losses, reduction, _best_of_users(positives, users, alpha, taking_part))


def _best_of_users(scores: Tensor, users: Tensor, share: float, counted: Tensor) -> Tensor:
    """Whether a row is among this share of its user's rows that score best, ``(B,)``."""
    groups = users.where(counted, -1)
    order = scores.argsort(descending=True, stable=True)
    order = order[groups[order].argsort(stable=True)]
    sorted_groups = groups[order].contiguous()
    first = torch.searchsorted(sorted_groups, sorted_groups)
    size = torch.searchsorted(sorted_groups, sorted_groups, right=True) - first
    rank = torch.arange(len(order), device=order.device) - first
    best = torch.empty_like(counted)
    best[order] = rank < (share * size).ceil()
    return best & counted
