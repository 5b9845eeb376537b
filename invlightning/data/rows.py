"""Interactions divided into parts: plain values, with or without a data module."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from invlightning.data.interactions import Interactions
from invlightning.data.known_pairs import KnownPairs
from invlightning.data.splits import Split, meta_rows, thin_labels
from invlightning.types import LabeledRows, TrainingFacts

TRAIN, VAL, TEST = 0, 1, 2


@dataclass(frozen=True, eq=False)
class SplitRows:
    """Interactions, the part of each row, and which training rows are labeled and meta.

    Build it by :func:`split_rows`.

    Attributes:
        interactions: All N rows.
        parts: ``(N,)`` 0 training, 1 validation, 2 test.
        train_rows: ``(L,)`` positions of the labeled training rows, rising.
        meta: ``(L,)`` True for those of them that form the meta part.
    """

    interactions: Interactions
    parts: NDArray[np.uint8]
    train_rows: NDArray[np.int64]
    meta: NDArray[np.bool_]

    def labeled(self, part: int = TRAIN) -> LabeledRows:
        """The labeled rows of a part, ``(n,)`` each.

        Args:
            part: 0 training, 1 validation, 2 test.
        """
        rows = self.train_rows if part == TRAIN else np.flatnonzero(self.parts == part)
        return self.interactions.labeled(rows)

    def training_facts(
        self, user_features: Tensor | None = None, item_features: Tensor | None = None
    ) -> TrainingFacts:
        """What may be known before training: the labeled training rows and side features.

        Args:
            user_features: ``(U, Fu)`` numbers; None where there are none.
            item_features: ``(I, Fi)`` numbers; None where there are none.
        """
        table, rows = self.interactions, self.train_rows
        users, items, labels = self.labeled()
        times = None if table.timestamps is None else torch.from_numpy(table.timestamps[rows])
        sizes = table.num_users, table.num_items
        features = user_features, item_features
        return TrainingFacts(users.long(), items.long(), labels, *sizes, times, *features)

    def held_out_positives(self) -> KnownPairs:
        """Positive validation and test pairs: drawing one of them is a false negative."""
        return self.interactions.pairs((self.parts != TRAIN) & (self.interactions.labels > 0))

    def summary(self) -> str:
        """One sentence on what there is to train on."""
        table = self.interactions
        labels = table.labels[self.train_rows]
        val, test = (int((self.parts == part).sum()) for part in (VAL, TEST))
        return (
            f"{table.num_users} users, {table.num_items} items; {len(labels)} labeled training "
            f"rows ({int(labels.sum())} positive, {int(self.meta.sum())} of all in the meta "
            f"part), {val} validation and {test} test rows."
        )


def check_shares(labeled_fraction: float, meta_fraction: float) -> None:
    """Checks the shares that :func:`split_rows` takes.

    Args:
        labeled_fraction: Share of the training labels that is kept.
        meta_fraction: Share of the labeled training rows that forms the meta part.

    Raises:
        ValueError: If a share is out of its range.
    """
    if not 0 < labeled_fraction <= 1:
        raise ValueError(f"labeled_fraction must be in (0, 1], got {labeled_fraction}.")
    if not 0 <= meta_fraction < 1:
        raise ValueError(f"meta_fraction must be in [0, 1), got {meta_fraction}.")


def split_rows(
    interactions: Interactions,
    split: Split,
    *,
    labeled_fraction: float = 1.0,
    meta_fraction: float = 0.1,
    seed: int = 42,
) -> SplitRows:
    """Divides rows into parts, thins the training labels and sets the meta part aside.

    From a table as found: ``split_rows(prepare(table, positive_threshold=3), RandomSplit())``.

    Args:
        interactions: The prepared rows.
        split: How they are divided into training, validation and test.
        labeled_fraction: Share of the training labels that is kept, in (0, 1].
        meta_fraction: Share of the labeled training rows, in [0, 1), that forms the meta part.
        seed: Seed of both choices; the split has its own.

    Returns:
        The divided rows.

    Raises:
        ValueError: If a share is out of its range, or no row or no positive is left to train on.
    """
    check_shares(labeled_fraction, meta_fraction)
    parts = split(interactions)
    rows = np.flatnonzero(parts == TRAIN)
    if len(rows) == 0:
        raise ValueError(
            f"the split leaves none of the {len(interactions)} rows for training: make the "
            "validation and test fractions smaller or give more data."
        )
    users, items = interactions.users, interactions.items
    rows = rows[thin_labels(users[rows], items[rows], labeled_fraction, seed)]
    if not interactions.labels[rows].any():
        raise ValueError(
            f"none of the {len(rows)} labeled training rows is positive: raise "
            "labeled_fraction or lower positive_threshold."
        )
    meta = meta_rows(users[rows], items[rows], meta_fraction, seed)
    return SplitRows(interactions, parts, rows, meta)
