"""Metrics of labeled rows as sums over users, all of them from one sort.

Rows of a user that share a score have no order of their own. Each metric is therefore the
expectation over a random order of such ties: a constant model gets the same value whatever the
order of the rows. Users who lack a positive or a negative say nothing about the ranking; they are
skipped and counted.
"""

import torch
from torch import Tensor

from invlightning.metrics.functional.cutoffs import check_cutoff, cumulative_discounts
from invlightning.metrics.functional.sums import UserSum
from invlightning.metrics.functional.ties import TieGroups


def _sum_over_users(groups: TieGroups, users: Tensor, values: Tensor) -> UserSum:
    """Adds up parts of a metric, leaving out users without both classes."""
    counted = (groups.user_positives > 0) & (groups.user_positives < groups.user_sizes)
    total = values.where(counted[users], 0.0).sum()
    return UserSum(total, counted.sum(), (~counted).sum())


def auc_by_user(groups: TieGroups) -> UserSum:
    """Returns the area under the ROC curve of each user, summed.

    The share of (positive, negative) pairs of the user in which the positive has the better
    score; a tie counts half (Mann and Whitney 1947). The mean is unweighted.

    Args:
        groups: ``RankedRows.by_user``, or ``RankedRows.overall`` for the AUC over all rows.

    Example:
        >>> users, labels = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 0])
        >>> scores = torch.tensor([3.0, 2.0, 1.0, 1.0])
        >>> auc_by_user(rank_rows(scores, labels, users).by_user).mean
        tensor(0.2500, dtype=torch.float64)
    """
    user_negatives = groups.user_sizes - groups.user_positives
    negatives = groups.sizes - groups.positives
    negatives_before = groups.before - groups.positives_before
    negatives_below = user_negatives[groups.users] - negatives_before - negatives
    pairs_won = groups.positives * (negatives_below + 0.5 * negatives.double())
    pairs = (groups.user_positives * user_negatives)[groups.users]
    return _sum_over_users(groups, groups.users, pairs_won / pairs)


def _at_ranks(groups: TieGroups, cumulative: Tensor) -> Tensor:
    """Sums a quantity of ranks 1 to k, given cumulated from 0, over the ranks of each group."""
    k = len(cumulative) - 1
    last = groups.before + groups.sizes
    return cumulative[last.clamp(max=k)] - cumulative[groups.before.clamp(max=k)]


def ndcg_by_user(groups: TieGroups, k: int) -> UserSum:
    """Returns the normalized discounted cumulative gain at k of each user, summed.

    Gain 2^y - 1 (the label itself), discount 1 / log2(rank + 1), ideal from the user's own labeled
    rows. Tied rows share the mean of their gains (McSherry and Najork 2008).

    Args:
        groups: ``RankedRows.by_user``.
        k: Number of ranks that count.

    Raises:
        ValueError: If ``k`` is below 1.

    Example:
        >>> users, labels = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 0])
        >>> scores = torch.tensor([3.0, 2.0, 1.0, 1.0])
        >>> ndcg_by_user(rank_rows(scores, labels, users).by_user, k=2).mean
        tensor(0.7232, dtype=torch.float64)
    """
    discounts = cumulative_discounts(k, groups.users.device)
    ideal = discounts[groups.user_positives.clamp(max=k)]
    gains = groups.positives / groups.sizes.double() * _at_ranks(groups, discounts)
    return _sum_over_users(groups, groups.users, gains / ideal[groups.users])


def harm_by_user(groups: TieGroups, k: int) -> UserSum:
    """Returns HARM at k of each user, summed: best rows, a miss costing half a hit.

    (hits - misses / 2) / k over the ``min(k, rows)`` best rows of the user. The denominator is k
    for every user, as in the evaluation released with Lin et al. (WSDM 2024), so a user with fewer
    than k positives cannot reach 1 and a perfect model stays below it. Tied rows share the mean.

    Args:
        groups: ``RankedRows.by_user``.
        k: Number of ranks that count.

    Raises:
        ValueError: If ``k`` is below 1.

    Example:
        >>> users, labels = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 0])
        >>> scores = torch.tensor([3.0, 2.0, 1.0, 1.0])
        >>> harm_by_user(rank_rows(scores, labels, users).by_user, k=2).mean
        tensor(0.2500, dtype=torch.float64)
    """
    check_cutoff(k)
    rows = _at_ranks(groups, torch.arange(k + 1, device=groups.users.device))
    share = groups.positives / groups.sizes.double()
    return _sum_over_users(groups, groups.users, (1.5 * share - 0.5) * rows / k)


def _log_choose(n: Tensor, k: Tensor) -> Tensor:
    # lgamma has poles at 0, -1, ...: for k > n this is -inf, the logarithm of no choice at all.
    return (n + 1).lgamma() - (k + 1).lgamma() - (n - k + 1).lgamma()


def mrr_by_user(groups: TieGroups) -> UserSum:
    """Returns the reciprocal rank of the first positive of each user, summed.

    If h of the m rows that share the best score with a positive are positives, the first of them
    is the j-th of these rows with probability C(m - j, h - 1) / C(m, h); the value is the
    expectation of the reciprocal rank under it.

    Args:
        groups: ``RankedRows.by_user``.

    Example:
        >>> users, labels = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 0])
        >>> scores = torch.tensor([3.0, 2.0, 1.0, 1.0])
        >>> mrr_by_user(rank_rows(scores, labels, users).by_user).mean
        tensor(0.6250, dtype=torch.float64)
    """
    first = ((groups.positives > 0) & (groups.positives_before == 0)).nonzero().squeeze(1)
    sizes = groups.sizes[first]
    group = first.repeat_interleave(sizes)
    starts = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    j = (torch.arange(len(group), device=group.device) - starts + 1).double()
    m, h = groups.sizes[group].double(), groups.positives[group].double()
    chance = (_log_choose(m - j, h - 1) - _log_choose(m, h)).exp()
    return _sum_over_users(groups, groups.users[group], chance / (groups.before[group] + j))
