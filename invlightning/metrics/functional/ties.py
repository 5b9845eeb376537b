"""Labeled rows, sorted once and collapsed to groups of equal user and score."""

from typing import NamedTuple

import torch
from torch import Tensor


class TieGroups(NamedTuple):
    """Rows of U users, collapsed to the G groups that share user and score.

    Groups are sorted by user and, within a user, from the best score down. All entries are int64.

    Attributes:
        users: ``(G,)`` whose group it is, 0 to U - 1.
        sizes: ``(G,)`` rows in the group.
        positives: ``(G,)`` positives in the group.
        before: ``(G,)`` rows of the user with a better score.
        positives_before: ``(G,)`` positives of the user with a better score.
        user_sizes: ``(U,)`` rows of each user.
        user_positives: ``(U,)`` positives of each user.
    """

    users: Tensor
    sizes: Tensor
    positives: Tensor
    before: Tensor
    positives_before: Tensor
    user_sizes: Tensor
    user_positives: Tensor


class RankedRows(NamedTuple):
    """Labeled rows, ranked.

    Attributes:
        overall: All rows in one ranking, as if of a single user.
        by_user: One ranking for each user.
    """

    overall: TieGroups
    by_user: TieGroups


def check_shapes(scores: Tensor, labels: Tensor, users: Tensor | None = None) -> None:
    """Checks what can be checked without reading from the device.

    Args:
        scores: Expected ``(N,)``.
        labels: Expected ``(N,)``.
        users: Expected ``(N,)`` integers, or None.

    Raises:
        ValueError: If shapes differ or users are no integers.
    """
    shapes = [tuple(rows.shape) for rows in (scores, labels, users) if rows is not None]
    if scores.dim() != 1 or len(set(shapes)) != 1:
        names = "scores and labels" if users is None else "scores, labels and users"
        raise ValueError(
            f"{names} have the shapes {', '.join(map(str, shapes))}: expected one entry a row, "
            "all (B,)."
        )
    if users is not None and (users.is_floating_point() or users.dtype == torch.bool):
        raise ValueError(f"users are {users.dtype}: pass integer indices, such as torch.int64.")


def check_values(scores: Tensor, labels: Tensor) -> None:
    """Checks the entries of rows.

    Args:
        scores: ``(N,)``.
        labels: ``(N,)``.

    Raises:
        ValueError: If a score is nan or a label is neither 0 nor 1.
    """
    if scores.isnan().any():
        raise ValueError(
            f"{int(scores.isnan().sum())} of {len(scores)} scores are nan and cannot be ranked: "
            "the model has diverged, try a smaller learning rate."
        )
    wrong = labels[(labels != 0) & (labels != 1)]
    if len(wrong) > 0:
        raise ValueError(
            f"{len(wrong)} of {len(labels)} labels are neither 0 nor 1 (the first is "
            f"{wrong[0].item():g}): turn ratings into labels by a threshold."
        )


def tie_groups(scores: Tensor, labels: Tensor, users: Tensor) -> TieGroups:
    """Collapses sorted rows to groups of equal user and score.

    Args:
        scores: ``(N,)`` descending within each user.
        labels: ``(N,)`` 0 or 1.
        users: ``(N,)`` equal for the rows of a user, which stand together.
    """
    new_user = torch.ones_like(users, dtype=torch.bool)
    new_user[1:] = users[1:] != users[:-1]
    new_group = new_user.clone()
    new_group[1:] |= scores[1:] != scores[:-1]
    end = torch.tensor([len(scores)], device=scores.device)
    bounds = torch.cat([new_group.nonzero().squeeze(1), end])
    user_bounds = torch.cat([new_user.nonzero().squeeze(1), end])
    positives_above = torch.cat([torch.zeros_like(end), labels.long().cumsum(0)])
    starts = bounds[:-1]
    group_users = (new_user.long().cumsum(0) - 1)[starts]
    user_starts = user_bounds[group_users]
    return TieGroups(
        users=group_users,
        sizes=bounds.diff(),
        positives=positives_above[bounds].diff(),
        before=starts - user_starts,
        positives_before=positives_above[starts] - positives_above[user_starts],
        user_sizes=user_bounds.diff(),
        user_positives=positives_above[user_bounds].diff(),
    )


def rank_rows(scores: Tensor, labels: Tensor, users: Tensor) -> RankedRows:
    """Ranks labeled rows, over all users and for each, by one sort of the scores.

    Args:
        scores: ``(N,)`` in any order; higher is better.
        labels: ``(N,)`` 0 or 1.
        users: ``(N,)`` integers, equal for the rows of a user.

    Raises:
        ValueError: If shapes differ, users are no integers, a score is nan or a label is neither
            0 nor 1.

    Example:
        >>> users, labels = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 0])
        >>> scores = torch.tensor([3.0, 2.0, 1.0, 1.0])
        >>> rank_rows(scores, labels, users).by_user.user_positives
        tensor([1, 1])
    """
    check_shapes(scores, labels, users)
    check_values(scores, labels)
    scores, order = scores.sort(descending=True)
    labels = labels[order]
    overall = tie_groups(scores, labels, torch.zeros_like(order))
    # Stable: within a user the rows stay sorted by score.
    users, order = users[order].sort(stable=True)
    return RankedRows(overall, tie_groups(scores[order], labels[order], users))
