"""Metrics that rank labeled rows, from scores, labels and users.

Rows that share a score have no order of their own: each metric is the expectation over a random
order of such ties. Users who lack a positive or a negative are left out. Several metrics of the
same rows come cheaper from one :func:`rank_rows` and the sums of :mod:`by_user`.
"""

import torch
from torch import Tensor

from invlightning.metrics.functional.by_user import (
    auc_by_user,
    harm_by_user,
    mrr_by_user,
    ndcg_by_user,
)
from invlightning.metrics.functional.ties import (
    check_shapes,
    check_values,
    rank_rows,
    tie_groups,
)


def auc(scores: Tensor, labels: Tensor) -> Tensor:
    """Area under the ROC curve over all rows, whoever the user.

    Args:
        scores: ``(N,)`` higher is better.
        labels: ``(N,)`` 0 or 1.

    Returns:
        A float64 scalar in [0, 1]; ties count half. nan if a class is missing.

    Raises:
        ValueError: If shapes differ, a score is nan or a label is neither 0 nor 1.

    Example:
        >>> scores, labels = torch.tensor([3.0, 2.0, 1.0, 1.0]), torch.tensor([0, 1, 1, 0])
        >>> auc(scores, labels)
        tensor(0.3750, dtype=torch.float64)
    """
    check_shapes(scores, labels)
    check_values(scores, labels)
    scores, order = scores.sort(descending=True)
    return auc_by_user(tie_groups(scores, labels[order], torch.zeros_like(order))).mean


def group_auc(scores: Tensor, labels: Tensor, users: Tensor) -> Tensor:
    """Mean area under the ROC curve of the users; see :func:`auc_by_user`.

    Args:
        scores: ``(N,)`` higher is better.
        labels: ``(N,)`` 0 or 1.
        users: ``(N,)`` integers.

    Returns:
        A float64 scalar in [0, 1], every user counting alike; nan if no user has both classes.

    Raises:
        ValueError: If shapes differ, a score is nan, a label is neither 0 nor 1 or users are no
            integers.

    Example:
        >>> users, labels = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 0])
        >>> scores = torch.tensor([3.0, 2.0, 1.0, 1.0])
        >>> group_auc(scores, labels, users)
        tensor(0.2500, dtype=torch.float64)
    """
    return auc_by_user(rank_rows(scores, labels, users).by_user).mean


def ndcg(scores: Tensor, labels: Tensor, users: Tensor, k: int = 10) -> Tensor:
    """Mean NDCG at k of the users' labeled rows; see :func:`ndcg_by_user`.

    Args:
        scores: ``(N,)`` higher is better.
        labels: ``(N,)`` 0 or 1.
        users: ``(N,)`` integers.
        k: Number of ranks that count.

    Returns:
        A float64 scalar in [0, 1]; nan if no user has both classes.

    Raises:
        ValueError: As :func:`group_auc`, or if ``k`` is below 1.

    Example:
        >>> users, labels = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 0])
        >>> scores = torch.tensor([3.0, 2.0, 1.0, 1.0])
        >>> ndcg(scores, labels, users, k=2)
        tensor(0.7232, dtype=torch.float64)
    """
    return ndcg_by_user(rank_rows(scores, labels, users).by_user, k).mean


def mrr(scores: Tensor, labels: Tensor, users: Tensor) -> Tensor:
    """Mean reciprocal rank of the users' first positive; see :func:`mrr_by_user`.

    Args:
        scores: ``(N,)`` higher is better.
        labels: ``(N,)`` 0 or 1.
        users: ``(N,)`` integers.

    Returns:
        A float64 scalar in (0, 1]; nan if no user has both classes.

    Raises:
        ValueError: As :func:`group_auc`.

    Example:
        >>> users, labels = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 0])
        >>> scores = torch.tensor([3.0, 2.0, 1.0, 1.0])
        >>> mrr(scores, labels, users)
        tensor(0.6250, dtype=torch.float64)
    """
    return mrr_by_user(rank_rows(scores, labels, users).by_user).mean


def harm(scores: Tensor, labels: Tensor, users: Tensor, k: int = 10) -> Tensor:
    """Mean (hits - misses / 2) / k of the users' best rows; see :func:`harm_by_user`.

    Args:
        scores: ``(N,)`` higher is better.
        labels: ``(N,)`` 0 or 1.
        users: ``(N,)`` integers.
        k: Number of ranks that count.

    Returns:
        A float64 scalar in [-1/2, 1]; nan if no user has both classes.

    Raises:
        ValueError: As :func:`group_auc`, or if ``k`` is below 1.

    Example:
        >>> users, labels = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 0])
        >>> scores = torch.tensor([3.0, 2.0, 1.0, 1.0])
        >>> harm(scores, labels, users, k=2)
        tensor(0.2500, dtype=torch.float64)
    """
    return harm_by_user(rank_rows(scores, labels, users).by_user, k).mean
