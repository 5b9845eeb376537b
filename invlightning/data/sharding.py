"""Which rows a process takes, and in what order: arithmetic that knows nothing of the rows."""

from dataclasses import dataclass

import torch
from torch import Tensor


def check_sharding(batch_size: int, rank: int, world_size: int) -> None:
    """Checks the arguments that all loaders share.

    Args:
        batch_size: Rows of a batch on one process.
        rank: This process.
        world_size: Number of processes.

    Raises:
        ValueError: If there is no such batch size or process.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, found {batch_size}.")
    if not 0 <= rank < world_size:
        raise ValueError(f"rank must lie in 0..world_size-1, found {rank} of {world_size}.")


@dataclass(frozen=True)
class EpochOrder:
    """The rows that one process takes in an epoch over N rows, batch by batch.

    A process takes an equal share of every global batch of ``batch_size * world_size`` rows, so
    that the processes together see what one process with that batch size would see. All of them
    have equal numbers of batches of equal sizes: of the last batch up to ``world_size - 1`` rows
    are left out. One process leaves out nothing.

    Args:
        num_rows: Number of rows N.
        batch_size: Rows of a batch on one process.
        rank: This process.
        world_size: Number of processes.
        drop_last: Leave out the batch that is not full.

    Raises:
        ValueError: If the sharding is impossible.
    """

    num_rows: int
    batch_size: int
    rank: int = 0
    world_size: int = 1
    drop_last: bool = False

    def __post_init__(self) -> None:
        check_sharding(self.batch_size, self.rank, self.world_size)

    @property
    def global_batch_size(self) -> int:
        """Rows that all processes together take at once."""
        return self.batch_size * self.world_size

    def __len__(self) -> int:
        """Returns the number of batches; a ragged one counts if every process gets a row of it."""
        full, rest = divmod(self.num_rows, self.global_batch_size)
        return full + (rest >= self.world_size and not self.drop_last)

    def places(self, seed: int | None) -> Tensor:
        """Lists the rows of this process in the order of an epoch.

        Args:
            seed: Seed of the permutation, the same in every process; None keeps the given order.

        Returns:
            ``(n,)`` int32 positions in ``0 .. N-1``. Batch k is the slice :meth:`batch` of them.
        """
        if seed is None:
            order = torch.arange(self.num_rows, dtype=torch.int32)
        else:
            generator = torch.Generator().manual_seed(seed)
            order = torch.randperm(self.num_rows, generator=generator, dtype=torch.int32)
        full, rest = divmod(self.num_rows, self.global_batch_size)
        body, tail = order[: self.num_rows - rest], order[self.num_rows - rest :]
        body = body.view(full, self.world_size, self.batch_size)[:, self.rank].flatten()
        share = rest // self.world_size
        return torch.cat([body, tail[self.rank * share : (self.rank + 1) * share]])

    def batch(self, index: int) -> slice:
        """Returns which of :meth:`places` form a batch.

        Args:
            index: Batch, counted from 0.
        """
        return slice(index * self.batch_size, (index + 1) * self.batch_size)


def rows_of_users(users: Tensor, batch_size: int, rank: int, world_size: int) -> tuple[Tensor, int]:
    """Gives whole users to processes: user u belongs to process ``u % world_size``.

    Args:
        users: ``(N,)`` users of the rows.
        batch_size: Rows of a batch on one process.
        rank: This process.
        world_size: Number of processes.

    Returns:
        ``(n,)`` positions of this process's rows, rising, and the number of batches of the process
        that has most.

    Raises:
        ValueError: If the sharding is impossible.
    """
    check_sharding(batch_size, rank, world_size)
    owners = users.remainder(world_size)
    largest = int(torch.bincount(owners, minlength=world_size).max())
    return (owners == rank).nonzero().flatten(), -(-largest // batch_size)
