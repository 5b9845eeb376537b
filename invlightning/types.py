"""Batches, what is known before training, and the legend of shapes.

Shapes in docstrings use: B rows of a batch, K unlabeled items a row, U users, I items, N rows of a
data set, S and T entries of flattened per-user lists. Users and items are int64 indices
``0 .. U-1`` and ``0 .. I-1``; labels are float32, 1 for a true positive and 0 for a true negative.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class LabeledRows(NamedTuple):
    """The labeled rows of a data set, as compact columns.

    Attributes:
        users: ``(N,)`` user indices, best as int32.
        items: ``(N,)`` item indices, best as int32.
        labels: ``(N,)`` 0.0 or 1.0, floating point.
    """

    users: Tensor
    items: Tensor
    labels: Tensor


class LabeledBatch(NamedTuple):
    """Labeled rows and, beside each, unlabeled items of the same user.

    Attributes:
        users: ``(B,)`` user indices.
        items: ``(B,)`` item indices of the labeled pairs.
        labels: ``(B,)`` 0.0 or 1.0.
        unlabeled_items: ``(B, K)`` items nobody judged; None where none were drawn.
        unlabeled_mask: ``(B, K)`` True where ``unlabeled_items`` holds an item. None, the usual
            case, means everywhere; only users who know every item have False entries.
        is_meta: True if the rows belong to the meta part that judges inverse gradients.
        seed: Seed of everything random about this batch.
        exposed_users: ``(E,)`` user indices of rows that were seen and judged by nobody; None where
            the data has none.
        exposed_items: ``(E,)`` their item indices.
        exposed_drawn_items: ``(E, K)`` items drawn beside the exposed rows, for models of exposure;
            -1 where there is none; None where none were drawn.
    """

    users: Tensor
    items: Tensor
    labels: Tensor
    unlabeled_items: Tensor | None = None
    unlabeled_mask: Tensor | None = None
    is_meta: bool = False
    seed: int = 0
    exposed_users: Tensor | None = None
    exposed_items: Tensor | None = None
    exposed_drawn_items: Tensor | None = None


class ExposedRows(NamedTuple):
    """Rows that were seen and judged by nobody.

    Attributes:
        users: ``(n,)`` user indices, any integer type.
        items: ``(n,)`` item indices.
    """

    users: Tensor
    items: Tensor


class RowLogits(NamedTuple):
    """Logits of all rows of a batch, from one forward pass.

    Attributes:
        labeled: ``(B,)`` logits of the labeled pairs.
        drawn: ``(B, K)`` logits of the drawn pairs, or ``(M,)`` of those that exist; None where
            they were not asked for.
        exposed: ``(E,)`` logits of the exposed pairs; None where they were not asked for.
    """

    labeled: Tensor
    drawn: Tensor | None = None
    exposed: Tensor | None = None


class JointRows(NamedTuple):
    """Labeled and unlabeled rows of the same users with their logits.

    Attributes:
        logits: ``(B,)`` logits of the labeled pairs.
        labels: ``(B,)`` 0.0 or 1.0.
        items: ``(B,)`` item indices of the labeled pairs.
        unlabeled_logits: ``(B, K)`` logits of the unlabeled pairs.
        unlabeled_items: ``(B, K)`` their item indices.
        mask: ``(B, K)`` False where there is no unlabeled item; None means everywhere True.
        users: ``(B,)`` user indices; None where the loss does not ask for them.
    """

    logits: Tensor
    labels: Tensor
    items: Tensor
    unlabeled_logits: Tensor
    unlabeled_items: Tensor
    mask: Tensor | None = None
    users: Tensor | None = None


class RankingBatch(NamedTuple):
    """Users whose unseen items are to be ranked.

    Attributes:
        users: ``(B,)`` user indices.
        seen_rows: ``(S,)`` row in ``users`` of each seen pair.
        seen_items: ``(S,)`` item of each seen pair; these are left out of the ranking.
        target_rows: ``(T,)`` row in ``users`` of each held-out positive.
        target_items: ``(T,)`` item of each held-out positive.
        disliked_rows: ``(D,)`` row in ``users`` of each held-out true negative; None where nobody
            asks for them.
        disliked_items: ``(D,)`` item of each held-out true negative.
    """

    users: Tensor
    seen_rows: Tensor
    seen_items: Tensor
    target_rows: Tensor
    target_items: Tensor
    disliked_rows: Tensor | None = None
    disliked_items: Tensor | None = None


class TrainingFacts(NamedTuple):
    """What is known before training: labeled and exposed training rows, sizes and features.

    Validation and test rows are no part of it.

    Attributes:
        users: ``(N,)`` user indices of the labeled rows, int64.
        items: ``(N,)`` their item indices, int64.
        labels: ``(N,)`` 0.0 or 1.0.
        num_users: Number of users U.
        num_items: Number of items I.
        timestamps: ``(N,)`` times, int64; None where the data has none.
        user_features: ``(U, Fu)`` numbers; None where the data has none.
        item_features: ``(I, Fi)`` numbers; None where the data has none.
        exposed_users: ``(M,)`` user indices of rows that were seen and never judged, int64; None
            where there are none.
        exposed_items: ``(M,)`` their item indices, int64.
    """

    users: Tensor
    items: Tensor
    labels: Tensor
    num_users: int
    num_items: int
    timestamps: Tensor | None = None
    user_features: Tensor | None = None
    item_features: Tensor | None = None
    exposed_users: Tensor | None = None
    exposed_items: Tensor | None = None

    def positives(self) -> tuple[Tensor, Tensor]:
        """Users and items of the positive rows, ``(E,)`` each."""
        positive = self.labels > 0
        return self.users[positive], self.items[positive]

    def negatives(self) -> tuple[Tensor, Tensor]:
        """Users and items of the true negatives, ``(E,)`` each."""
        negative = self.labels <= 0
        return self.users[negative], self.items[negative]

    def as_exposure(self) -> "TrainingFacts":
        """All rows, labeled and exposed, as positives: what models of exposure learn from."""
        users, items = self.observed()
        times = self.timestamps if len(users) == len(self.users) else None
        labels = torch.ones(len(users))
        found = self._replace(users=users, items=items, labels=labels, timestamps=times)
        return found._replace(exposed_users=None, exposed_items=None)

    def observed(self) -> tuple[Tensor, Tensor]:
        """Users and items of all rows, labeled and exposed."""
        if self.exposed_users is None or self.exposed_items is None:
            return self.users, self.items
        return (
            torch.cat([self.users, self.exposed_users]),
            torch.cat([self.items, self.exposed_items]),
        )
