"""Batches for validation and test, whole users to a process, every row exactly once.

User u belongs to process ``u % world_size``. All processes yield equal numbers of batches, so that
collective calls of an evaluation loop meet; where a process has run out of rows its last batches
are empty (B = 0). Nothing is repeated to fill them up, so summed metrics are exact.
"""

from collections.abc import Iterator

from torch import Tensor

from invlightning.data.known_pairs import KnownPairs
from invlightning.data.row_tuples import check_rows, take, widened
from invlightning.data.sharding import rows_of_users
from invlightning.types import LabeledBatch, LabeledRows, RankingBatch


class EvalLoader:
    """Yields labeled rows in the given order.

    Args:
        rows: The labeled rows: a tuple of tensors ``(N, ...)`` whose names are those of
            :class:`LabeledBatch`.
        batch_size: Rows of a batch.
        rank: This process.
        world_size: Number of processes.

    Raises:
        ValueError: If the columns differ in length or the sharding is impossible.
    """

    def __init__(
        self, rows: LabeledRows, batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        check_rows(rows)
        places, self._num_batches = rows_of_users(rows.users, batch_size, rank, world_size)
        self.rows, self.batch_size = take(rows, places), batch_size

    def __len__(self) -> int:
        """Returns the number of batches, the same on every process."""
        return self._num_batches

    def __iter__(self) -> Iterator[LabeledBatch]:
        """Yields this process's batches; the last ones may be empty."""
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            rows = take(self.rows, slice(start, start + self.batch_size))
            yield LabeledBatch(**widened(rows)._asdict())


class RankingLoader:
    """Yields users with the items they have seen and the held-out ones they like and dislike.

    Args:
        users: ``(N,)`` distinct users to rank for, in the order they are to come.
        seen: Pairs that are left out of the ranking.
        targets: Held-out positives.
        disliked: Held-out true negatives.
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
        disliked: KnownPairs,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        places, self._num_batches = rows_of_users(users, batch_size, rank, world_size)
        self.users, self.batch_size = users[places].long(), batch_size
        self.pairs = (seen, targets, disliked)

    def __len__(self) -> int:
        """Returns the number of batches, the same on every process."""
        return self._num_batches

    def __iter__(self) -> Iterator[RankingBatch]:
        """Yields this process's batches; the last ones may be empty."""
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            users = self.users[start : start + self.batch_size]
            columns = (column for pairs in self.pairs for column in pairs.gather(users))
            yield RankingBatch(users, *columns)
