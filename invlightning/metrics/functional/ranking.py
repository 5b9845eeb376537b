"""Metrics of a ranking over all unseen items, from hits at ranks 1 to K.

Lists may be shorter than k where the catalogue is; ranks that do not exist are misses. Users
without held-out targets say nothing about the ranking; they are skipped and counted.
"""

import torch
from torch import Tensor

from invlightning.metrics.functional.cutoffs import check_cutoff, cumulative_discounts
from invlightning.metrics.functional.sums import UserSum


def _check_hits(hits: Tensor, num_targets: Tensor, k: int) -> None:
    check_cutoff(k)
    if hits.dim() != 2 or num_targets.shape != hits.shape[:1]:
        raise ValueError(
            f"hits have the shape {tuple(hits.shape)} and num_targets {tuple(num_targets.shape)}: "
            "expected (B, K) and (B,)."
        )
    if hits.dtype != torch.bool:
        raise ValueError(f"hits are {hits.dtype}: pass torch.bool, True at the rank of a target.")


def _sum_over_users(values: Tensor, num_targets: Tensor) -> UserSum:
    counted = num_targets > 0
    return UserSum(values.where(counted, 0.0).sum(), counted.sum(), (~counted).sum())


def recall(hits: Tensor, num_targets: Tensor, k: int) -> UserSum:
    """Returns the share of each user's targets found among the first k items, summed.

    Args:
        hits: ``(B, K)`` True where the item at this rank, best first, is a target.
        num_targets: ``(B,)`` held-out targets of each user; the denominator.
        k: Number of ranks that count.

    Raises:
        ValueError: If ``k`` is below 1, shapes do not match or hits are not bool.

    Example:
        >>> hits, num_targets = torch.tensor([[True, False], [False, False]]), torch.tensor([1, 2])
        >>> recall(hits, num_targets, k=2).mean
        tensor(0.5000, dtype=torch.float64)
    """
    _check_hits(hits, num_targets, k)
    return _sum_over_users(hits[:, :k].sum(1) / num_targets.double(), num_targets)


def hit_rate(hits: Tensor, num_targets: Tensor, k: int) -> UserSum:
    """Returns the number of users with a target among the first k items.

    Args:
        hits: ``(B, K)`` True where the item at this rank, best first, is a target.
        num_targets: ``(B,)`` held-out targets of each user.
        k: Number of ranks that count.

    Raises:
        ValueError: If ``k`` is below 1, shapes do not match or hits are not bool.

    Example:
        >>> hits, num_targets = torch.tensor([[True, False], [False, False]]), torch.tensor([1, 2])
        >>> hit_rate(hits, num_targets, k=2).mean
        tensor(0.5000, dtype=torch.float64)
    """
    _check_hits(hits, num_targets, k)
    return _sum_over_users(hits[:, :k].any(1).double(), num_targets)


def ranking_ndcg(hits: Tensor, num_targets: Tensor, k: int) -> UserSum:
    """Returns the binary normalized discounted cumulative gain at k of each user, summed.

    Discount 1 / log2(rank + 1); the ideal has ``min(num_targets, k)`` targets at the top.

    Args:
        hits: ``(B, K)`` True where the item at this rank, best first, is a target.
        num_targets: ``(B,)`` held-out targets of each user.
        k: Number of ranks that count.

    Raises:
        ValueError: If ``k`` is below 1, shapes do not match or hits are not bool.

    Example:
        >>> hits, num_targets = torch.tensor([[True, False], [False, False]]), torch.tensor([1, 2])
        >>> ranking_ndcg(hits, num_targets, k=2).mean
        tensor(0.5000, dtype=torch.float64)
    """
    _check_hits(hits, num_targets, k)
    cumulative = cumulative_discounts(k, hits.device)
    found = hits[:, :k]
    gains = found.double() @ cumulative.diff()[: found.shape[1]]
    return _sum_over_users(gains / cumulative[num_targets.long().clamp(max=k)], num_targets)


def ranking_mrr(hits: Tensor, num_targets: Tensor, k: int) -> UserSum:
    """Returns the reciprocal rank of each user's first hit, 0 if it comes after rank k, summed.

    Args:
        hits: ``(B, K)`` True where the item at this rank, best first, is a target.
        num_targets: ``(B,)`` held-out targets of each user.
        k: Number of ranks that count.

    Raises:
        ValueError: If ``k`` is below 1, shapes do not match or hits are not bool.

    Example:
        >>> hits, num_targets = torch.tensor([[True, False], [False, False]]), torch.tensor([1, 2])
        >>> ranking_mrr(hits, num_targets, k=2).mean
        tensor(0.5000, dtype=torch.float64)
    """
    _check_hits(hits, num_targets, k)
    found = hits[:, :k]
    ranks = torch.arange(1, found.shape[1] + 1, dtype=torch.float64, device=hits.device)
    return _sum_over_users((found / ranks).amax(1), num_targets)


def ranking_hits(
    top_items: Tensor, target_rows: Tensor, target_items: Tensor, num_items: int
) -> tuple[Tensor, Tensor]:
    """Finds the targets in ranked lists, without a table of users by items.

    Args:
        top_items: ``(B, K)`` ranked items, best first; -1 stands for no item.
        target_rows: ``(T,)`` row in ``top_items`` of each held-out target.
        target_items: ``(T,)`` item of each held-out target; a repeated pair counts once.
        num_items: Size of the catalogue.

    Returns:
        ``(B, K)`` bool, True at the rank of a target, and ``(B,)`` int64, distinct targets a row.

    Raises:
        ValueError: If ``target_rows`` and ``target_items`` differ in shape.

    Example:
        >>> top_items = torch.tensor([[4, 2], [0, 1]])
        >>> target_rows, target_items = torch.tensor([0, 1]), torch.tensor([2, 3])
        >>> ranking_hits(top_items, target_rows, target_items, num_items=5)
        (tensor([[False,  True],
                [False, False]]), tensor([1, 1]))
    """
    if target_rows.shape != target_items.shape or target_rows.dim() != 1:
        raise ValueError(
            f"target_rows have the shape {tuple(target_rows.shape)} and target_items "
            f"{tuple(target_items.shape)}: expected one entry a held-out pair, both (T,)."
        )
    num_rows = len(top_items)
    targets = torch.unique(target_rows.long() * num_items + target_items)
    rows = targets.div(num_items, rounding_mode="floor")
    num_targets = torch.zeros(num_rows, dtype=torch.int64, device=top_items.device)
    num_targets.index_add_(0, rows, torch.ones_like(rows))
    keys = torch.arange(num_rows, device=top_items.device).unsqueeze(1) * num_items + top_items
    # A key beyond all others, so that every search ends at an entry.
    targets = torch.cat([targets, targets.new_tensor([num_rows * num_items])])
    hits = (targets[torch.searchsorted(targets, keys)] == keys) & (top_items >= 0)
    return hits, num_targets
