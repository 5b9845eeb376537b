"""Batches for validation and test, whole users to a process, every row exactly once.

User u belongs to process ``u % world_size``. All processes yield equal numbers of batches, so that
collective calls of an evaluation loop meet; where a process has run out of rows its last batches
are empty (B = 0). Nothing is repeated to fill them up, so summed metrics are exact.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from invlightning.data.known_pairs import KnownPairs
from invlightning.data.loader import check_columns, check_sharding
from invlightning.types import LabeledBatch, RankingBatch


def _shard(users: Tensor, batch_size: int, rank: int, world_size: int) -> tuple[Tensor, int]:
    """Returns the positions in ``users`` that belong to a process and every one's batch count."""
    check_sharding(batch_size, rank, world_size)
    owners = users.remainder(world_size)
    largest = int(torch.bincount(owners, minlength=world_size).max())
    return (owners == rank).nonzero().flatten(), -(-largest // batch_size)


class EvalLoader:
    """Yields labeled rows in the given order.

    Args:
        users: ``(N,)`` user indices.
        items: ``(N,)`` item indices.
        labels: ``(N,)`` 0 or 1.
        batch_size: Rows of a batch.
        rank: This process.
        world_size: Number of processes.

    Raises:
        ValueError: If the columns differ in length or the sharding is impossible.
    """

    def __init__(
        self,
        users: Tensor,
        items: Tensor,
        labels: Tensor,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        check_columns(users, items, labels)
        rows, self._num_batches = _shard(users, batch_size, rank, world_size)
        self.users, self.items, self.labels = users[rows], items[rows], labels[rows]
        self.batch_size = batch_size

    def __len__(self) -> int:
        """Returns the number of batches, the same on every process."""
        return self._num_batches

    def __iter__(self) -> Iterator[LabeledBatch]:
        """Yields this process's batches; the last ones may be empty."""
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            rows = slice(start, start + self.batch_size)
            users, items = self.users[rows].long(), self.items[rows].long()
            yield LabeledBatch(users, items, self.labels[rows].float())


class RankingLoader:
    """Yields users with the items they have seen and the held-out items to be found.

    Args:
        users: ``(N,)`` distinct users to rank for, in the order they are to come.
        seen: Pairs that are left out of the ranking.
        targets: Held-out positives.
        batch_size: Users of a batch.
        rank: This process.
        world_size: Number of processes.

    Raises:
        ValueError: If the sharding is impossible.
    """

    def __init__(
        self,
        users: Tensor,
        seen: KnownPairs,
        targets: KnownPairs,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        rows, self._num_batches = _shard(users, batch_size, rank, world_size)
        self.users, self.seen, self.targets = users[rows].long(), seen, targets
        self.batch_size = batch_size

    def __len__(self) -> int:
        """Returns the number of batches, the same on every process."""
        return self._num_batches

    def __iter__(self) -> Iterator[RankingBatch]:
        """Yields this process's batches; the last ones may be empty."""
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            users = self.users[start : start + self.batch_size]
            yield RankingBatch(users, *self.seen.gather(users), *self.targets.gather(users))
