"""Tables as found, and the compact rows that they become."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from invlightning.data.known_pairs import KnownPairs
from invlightning.data.reading.columns import Column
from invlightning.data.reading.labels import MISSING, Labels
from invlightning.data.vocabulary import Vocabulary
from invlightning.types import ExposedRows, LabeledRows


@dataclass(frozen=True, eq=False)
class RawTable:
    """The columns of a data set as found, one row for each interaction.

    Args:
        users: ``(N,)`` raw user ids, integers or text.
        items: ``(N,)`` raw item ids.
        ratings: ``(N,)`` numbers, missing where nobody judged; None where every row is a positive
            or ``labels`` says more.
        labels: ``(N,)`` int8 1 positive, 0 negative, -1 exposed, instead of ratings.
        timestamps: ``(N,)`` times in any unit.
        parts: ``(N,)`` 0 training, 1 validation, 2 test, where the split is given.
        num_users: Fixed number of users; user ids are then indices ``0 .. num_users-1``.
        num_items: Fixed number of items; item ids are then indices.
        notes: What the reader has to say about the rows, one sentence each.

    Raises:
        ValueError: If the table is empty or its columns differ in length.
    """

    users: Column
    items: Column
    ratings: Column | None = None
    timestamps: Column | None = None
    parts: NDArray[np.uint8] | None = None
    num_users: int | None = None
    num_items: int | None = None
    notes: tuple[str, ...] = ()
    labels: Labels | None = None

    def __post_init__(self) -> None:
        names = ("users", "items", "ratings", "labels", "timestamps", "parts")
        columns = {name: getattr(self, name) for name in names}
        lengths = {name: len(column) for name, column in columns.items() if column is not None}
        if len(set(lengths.values())) > 1:
            found = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise ValueError(f"columns must have the same length, found {found} rows.")
        if lengths["users"] == 0:
            raise ValueError("the table is empty: it has no rows to train on.")
        if self.parts is not None and self.parts.max() > 2:
            raise ValueError("parts must be 0 (training), 1 (validation) or 2 (test).")


@dataclass(frozen=True, eq=False)
class Interactions:
    """Distinct pairs, labeled or exposed, as compact columns.

    Args:
        users: ``(N,)`` int32 user indices.
        items: ``(N,)`` int32 item indices.
        labels: ``(N,)`` int8, 1 for a true positive, 0 for a true negative, -1 for an exposed row:
            seen and judged by nobody.
        timestamps: ``(N,)`` int64 times, where known.
        parts: ``(N,)`` uint8, 0 training, 1 validation, 2 test, where given.
        user_ids: Raw ids of the users.
        item_ids: Raw ids of the items.
        notes: A sentence for everything that was dropped or merged.
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    labels: Labels
    timestamps: NDArray[np.int64] | None
    parts: NDArray[np.uint8] | None
    user_ids: Vocabulary
    item_ids: Vocabulary
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.users)

    @property
    def num_users(self) -> int:
        """Number of users U."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """Number of items I."""
        return len(self.item_ids)

    def pairs(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> KnownPairs:
        """Indexes the pairs of some rows.

        Args:
            rows: Which of them, by position or by a mask of all.

        Returns:
            Their distinct pairs.
        """
        users, items = torch.from_numpy(self.users[rows]), torch.from_numpy(self.items[rows])
        return KnownPairs.from_pairs(users, items, self.num_users, self.num_items)

    @property
    def is_labeled(self) -> NDArray[np.bool_]:
        """``(N,)`` True for rows with a label, False for exposed ones."""
        labeled: NDArray[np.bool_] = self.labels != MISSING
        return labeled

    def labeled(self, rows: NDArray[np.int64]) -> LabeledRows:
        """The columns of some labeled rows, as tensors.

        Args:
            rows: ``(n,)`` which of them, by position.

        Returns:
            Users and items int32, labels float32, ``(n,)`` each.
        """
        columns = (self.users[rows], self.items[rows], self.labels[rows].astype(np.float32))
        return LabeledRows(*map(torch.from_numpy, columns))

    def exposed(self, rows: NDArray[np.int64]) -> ExposedRows:
        """Users and items of some rows, as int32 tensors ``(n,)``.

        Args:
            rows: ``(n,)`` which of them, by position.
        """
        columns = (self.users[rows], self.items[rows])
        return ExposedRows(*map(torch.from_numpy, columns))
