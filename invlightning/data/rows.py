"""Interactions divided into parts: plain values, with or without a data module."""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from invlightning.data.dividing import meta_rows, thin_labels
from invlightning.data.interactions import Interactions
from invlightning.data.known_pairs import KnownPairs
from invlightning.data.reading.labels import MISSING
from invlightning.data.splits import Split
from invlightning.types import LabeledRows, TrainingFacts

TRAIN, VAL, TEST = 0, 1, 2


class HiddenLabels(NamedTuple):
    """True labels of exposed rows, kept apart from everything that trains.

    Attributes:
        pairs: The pairs.
        labels: ``(n,)`` 0 or 1, in the order of the pairs.
    """

    pairs: KnownPairs
    labels: Tensor

    def to(self, device: torch.device) -> "HiddenLabels":
        """Returns the same on a device."""
        return HiddenLabels(self.pairs.to(device), self.labels.to(device))

    def of(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Looks pairs up.

        Args:
            users: ``(E,)`` user indices.
            items: ``(E,)`` item indices.

        Returns:
            ``(E,)`` booleans, whether the label is known, and ``(E,)`` 0 or 1, 0 where it is not.
        """
        known = self.pairs.contains(users, items)
        if not len(self.labels):
            return known, torch.zeros_like(known, dtype=self.labels.dtype)
        keys = users * self.pairs.num_items + items
        places = torch.searchsorted(self.pairs.keys, keys).clamp(max=len(self.labels) - 1)
        return known, self.labels[places] * known


@dataclass(frozen=True, eq=False)
class SplitRows:
    """Interactions, the part of each row, and which training rows are labeled and meta.

    Build it by :func:`split_rows`.

    Attributes:
        interactions: All N rows.
        parts: ``(N,)`` 0 training, 1 validation, 2 test.
        train_rows: ``(L,)`` positions of the labeled training rows, rising.
        meta: ``(L,)`` True for those of them that form the meta part.
        exposed_rows: ``(E,)`` positions of the exposed training rows, rising. Exposed rows of the
            other parts are never trained on.
        hidden: What the labels of hidden rows were; for measuring annotations and nothing else.
    """

    interactions: Interactions
    parts: NDArray[np.uint8]
    train_rows: NDArray[np.int64]
    meta: NDArray[np.bool_]
    exposed_rows: NDArray[np.int64]
    hidden: HiddenLabels

    def labeled(self, part: int = TRAIN) -> LabeledRows:
        """The labeled rows of a part, ``(n,)`` each.

        Args:
            part: 0 training, 1 validation, 2 test.
        """
        return self.interactions.labeled(self.labeled_rows(part))

    def labeled_rows(self, part: int) -> NDArray[np.int64]:
        """Positions of the labeled rows of a part, rising."""
        if part == TRAIN:
            return self.train_rows
        return np.flatnonzero((self.parts == part) & self.interactions.is_labeled)

    def seen(self, before: int, exposed: bool) -> NDArray[np.bool_]:
        """Which rows count as seen when a part is ranked: ``(N,)`` True for those of earlier parts.

        Args:
            before: The part that is ranked.
            exposed: Whether exposed rows count too.
        """
        earlier = self.parts < before
        return earlier if exposed else earlier & self.interactions.is_labeled

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
        facts = TrainingFacts(
            users.long(),
            items.long(),
            labels,
            table.num_users,
            table.num_items,
            times,
            user_features,
            item_features,
        )
        if not len(self.exposed_rows):
            return facts
        exposed = table.exposed(self.exposed_rows)
        return facts._replace(
            exposed_users=exposed.users.long(), exposed_items=exposed.items.long()
        )

    def held_out_positives(self) -> KnownPairs:
        """Positive validation and test pairs: drawing one of them is a false negative."""
        return self.interactions.pairs((self.parts != TRAIN) & (self.interactions.labels > 0))

    def summary(self) -> str:
        """One sentence on what there is to train on."""
        table = self.interactions
        labels = table.labels[self.train_rows]
        val, test = (self._held_out(part) for part in (VAL, TEST))
        exposed = f"{len(self.exposed_rows)} exposed ones, " if len(self.exposed_rows) else ""
        return (
            f"{table.num_users} users, {table.num_items} items; {len(labels)} labeled training "
            f"rows ({int(labels.sum())} positive, {int(self.meta.sum())} of all in the meta "
            f"part), {exposed}{val} validation and {test} test rows."
        )

    def is_cold(self, part: int) -> NDArray[np.bool_]:
        """Which labeled rows of a part have a user or an item without any training row.

        Args:
            part: 1 validation, 2 test.

        Returns:
            ``(n,)`` True for cold rows, in the order of :meth:`labeled_rows`.
        """
        table, rows = self.interactions, self.labeled_rows(part)
        trained = np.concatenate([self.train_rows, self.exposed_rows])
        sides = ((table.users, table.num_users), (table.items, table.num_items))
        counts = [(np.bincount(side[trained], minlength=size), side) for side, size in sides]
        cold_users, cold_items = (count[side[rows]] == 0 for count, side in counts)
        cold: NDArray[np.bool_] = cold_users | cold_items
        return cold

    def _held_out(self, part: int) -> str:
        cold = int(self.is_cold(part).sum())
        told = f" ({cold} of a user or item without a training row)" if cold else ""
        return f"{len(self.labeled_rows(part))}{told}"


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
    hidden: Literal["exposed", "unseen"] = "exposed",
    meta_fraction: float = 0.1,
    seed: int = 42,
) -> SplitRows:
    """Divides rows into parts, thins the training labels and sets the meta part aside.

    From a table as found: ``split_rows(prepare(table, positive_threshold=3), RandomSplit())``.

    Args:
        interactions: The prepared rows.
        split: How they are divided into training, validation and test.
        labeled_fraction: Share of the training labels that is kept, in (0, 1].
        hidden: What becomes of the rows whose label is hidden: ``exposed`` rows, or ``unseen``, as
            if nobody had met them.
        meta_fraction: Share of the labeled training rows, in [0, 1), that forms the meta part.
        seed: Seed of both choices, and of a split that has none of its own.

    Returns:
        The divided rows.

    Raises:
        ValueError: If a share is out of its range, or no row or no positive is left to train on.
    """
    check_shares(labeled_fraction, meta_fraction)
    parts = split(interactions, seed)
    train = np.flatnonzero((parts == TRAIN) & interactions.is_labeled)
    if len(train) == 0:
        raise ValueError(
            f"the split leaves none of the {int(interactions.is_labeled.sum())} labeled rows for "
            "training: make the validation and test fractions smaller or give more data."
        )
    users, items = interactions.users, interactions.items
    kept = thin_labels(users[train], items[train], labeled_fraction, seed)
    rows = train[kept]
    if not interactions.labels[rows].any():
        raise ValueError(
            f"none of the {len(rows)} labeled training rows is positive: raise "
            "labeled_fraction or lower positive_threshold."
        )
    meta = meta_rows(users[rows], items[rows], meta_fraction, seed)
    exposed = np.flatnonzero((parts == TRAIN) & ~interactions.is_labeled)
    thinned, secret = _hide(interactions, train[~kept])
    if hidden == "exposed":
        exposed = np.union1d(exposed, train[~kept])
    return SplitRows(thinned, parts, rows, meta, exposed, secret)


def _hide(interactions: Interactions, rows: NDArray[np.int64]) -> tuple[Interactions, HiddenLabels]:
    """Takes the labels of some rows away and puts them aside."""
    users, items = interactions.users[rows], interactions.items[rows]
    order = np.lexsort((items, users))
    labels = torch.from_numpy(interactions.labels[rows][order].astype(np.float32))
    secret = HiddenLabels(interactions.pairs(rows), labels)
    if not len(rows):
        return interactions, secret
    remaining = interactions.labels.copy()
    remaining[rows] = MISSING
    return replace(interactions, labels=remaining), secret
