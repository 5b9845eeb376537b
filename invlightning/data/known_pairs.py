"""Distinct (user, item) pairs, sorted, as compressed sparse rows."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from invlightning.types import TrainingFacts

# Keys user * num_items + item, and what samplers add to them, must fit signed 64-bit integers.
MAX_CATALOGUE = 2**60


def _check_range(name: str, indices: Tensor, size: int) -> None:
    if indices.numel() and (int(indices.min()) < 0 or int(indices.max()) >= size):
        raise ValueError(
            f"{name} must be indices in 0..{size - 1}, found {int(indices.min())}.."
            f"{int(indices.max())}: encode raw ids as consecutive integers and pass num_{name}."
        )


@dataclass(frozen=True, eq=False)
class KnownPairs:
    """Sorted distinct pairs, one row of items a user. Build it by :meth:`from_pairs`.

    Attributes:
        indptr: ``(U+1,)`` int64; the items of user u are ``items[indptr[u]:indptr[u + 1]]``.
        items: ``(N,)`` int32 item indices, ascending within each user.
        num_users: Number of users U.
        num_items: Number of items I.
    """

    indptr: Tensor
    items: Tensor
    num_users: int
    num_items: int

    @classmethod
    def from_pairs(
        cls, users: Tensor, items: Tensor, num_users: int, num_items: int
    ) -> "KnownPairs":
        """Sorts pairs and drops repeated ones.

        Args:
            users: ``(N,)`` user indices in any order, any integer type.
            items: ``(N,)`` item indices beside them.
            num_users: Number of users U.
            num_items: Number of items I.

        Returns:
            The distinct pairs.

        Raises:
            ValueError: If the columns differ in length, an index is out of range, or the sizes
                are not positive or their product is 2**60 or more.
        """
        if users.shape != items.shape or users.dim() != 1:
            raise ValueError(
                f"users and items must be columns of one length, found shapes {tuple(users.shape)} "
                f"and {tuple(items.shape)}."
            )
        if num_users < 1 or num_items < 1 or num_users * num_items >= MAX_CATALOGUE:
            raise ValueError(
                f"found {num_users} users and {num_items} items, expected at least one of each "
                "and a product below 2**60."
            )
        _check_range("users", users, num_users)
        _check_range("items", items, num_items)
        # Up to twice as fast as by torch.unique.
        keys = np.sort((users.long() * num_items + items.long()).cpu().numpy())
        first = np.ones(len(keys), dtype=bool)
        np.not_equal(keys[1:], keys[:-1], out=first[1:])
        keys = keys[first]
        indptr = torch.from_numpy(np.searchsorted(keys, np.arange(num_users + 1) * num_items))
        return cls(indptr, torch.from_numpy(keys % num_items).int(), num_users, num_items)

    @classmethod
    def from_facts(cls, facts: TrainingFacts) -> "KnownPairs":
        """The pairs of all training rows, labeled and exposed."""
        return cls.from_pairs(*facts.observed(), facts.num_users, facts.num_items)

    def to(self, device: torch.device) -> "KnownPairs":
        """Returns the same pairs on a device.

        Args:
            device: Where :meth:`contains` and :meth:`gather` are to look them up.
        """
        indptr, items = self.indptr.to(device), self.items.to(device)
        return KnownPairs(indptr, items, self.num_users, self.num_items)

    @cached_property
    def item_counts(self) -> Tensor:
        """``(I,)`` int64 number of pairs of each item."""
        return torch.bincount(self.items, minlength=self.num_items)

    @cached_property
    def keys(self) -> Tensor:
        """``(N,)`` int64 ``user * num_items + item``, ascending."""
        return self.users() * self.num_items + self.items

    def users(self) -> Tensor:
        """Returns the ``(N,)`` int64 user of each pair, in the order of ``items``."""
        rows = torch.arange(self.num_users, device=self.indptr.device)
        return rows.repeat_interleave(self.indptr.diff())

    def contains(self, users: Tensor, items: Tensor) -> Tensor:
        """Looks pairs up by binary search.

        Args:
            users: User indices; broadcast against ``items``.
            items: Item indices in ``0 .. I-1``.

        Returns:
            Booleans of the broadcast shape, True where the pair is one of these.
        """
        wanted = (users * self.num_items + items).contiguous()
        if not self.keys.numel():
            return torch.zeros_like(wanted, dtype=torch.bool)
        places = torch.searchsorted(self.keys, wanted).clamp_(max=self.keys.numel() - 1)
        return self.keys[places] == wanted

    def gather(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Lists all items of some users.

        Args:
            users: ``(B,)`` user indices.

        Returns:
            ``(S,)`` position in ``users`` and ``(S,)`` item of each of their S pairs, int64.
        """
        starts = self.indptr[users]
        counts = self.indptr[users + 1] - starts
        rows = torch.arange(users.numel(), device=users.device).repeat_interleave(counts)
        shift = starts - (counts.cumsum(0) - counts)
        places = torch.arange(rows.numel(), device=users.device) + shift[rows]
        return rows, self.items[places].long()
