"""Batches of labeled rows for training: sharded by process and resumable at every batch."""

from collections.abc import Iterator
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from invlightning.data.seeding import batch_seed, mix_seed
from invlightning.types import LabeledBatch


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


def check_columns(users: Tensor, items: Tensor, labels: Tensor) -> None:
    """Checks that columns belong to the same rows.

    Args:
        users: ``(N,)`` user indices.
        items: ``(N,)`` item indices.
        labels: ``(N,)`` 0 or 1.

    Raises:
        ValueError: If the lengths differ.
    """
    if not users.shape == items.shape == labels.shape == (users.numel(),):
        raise ValueError(
            "users, items and labels must be columns of one length, found shapes "
            f"{tuple(users.shape)}, {tuple(items.shape)} and {tuple(labels.shape)}."
        )


class TrainLoader:
    """Yields every labeled row once an epoch, supervised rows first, then meta rows.

    Each part is permuted once an epoch and batches are slices, so no Python runs per row. The
    permutation depends on ``(seed, epoch, part)`` alone and is the same in every process; each
    takes an equal share of every global batch of ``batch_size * world_size`` rows, so that the
    processes together see what one process with that batch size would see. All processes yield
    equal numbers of batches of equal sizes: of the last batch of a part up to ``world_size - 1``
    rows are left out. One process leaves out nothing. Batches lie on the device of the columns.

    Lightning calls :meth:`set_epoch` through :attr:`sampler` and keeps :meth:`state_dict` in its
    checkpoints. A loader that got a state back goes on with the batch after the last one that was
    fetched. Without a call of :meth:`set_epoch` every pass has the order of the same epoch.

    Args:
        users: ``(N,)`` user indices, best as int32.
        items: ``(N,)`` item indices, best as int32.
        labels: ``(N,)`` 0 or 1, best as float32.
        is_meta: ``(N,)`` booleans, True for the meta rows; None if there are none.
        batch_size: Rows of a batch on one process.
        seed: Seed of the permutations and of the batches.
        rank: This process.
        world_size: Number of processes.
        drop_last: Leave out the batches that are not full.
        shuffle: False keeps the rows in the given order in every epoch.

    Raises:
        ValueError: If the columns differ in length, there is no batch to yield, or the sharding is
            impossible.
    """

    def __init__(
        self,
        users: Tensor,
        items: Tensor,
        labels: Tensor,
        is_meta: Tensor | None,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
        shuffle: bool = True,
    ) -> None:
        check_sharding(batch_size, rank, world_size)
        check_columns(users, items, labels)
        is_meta = torch.zeros(users.shape, dtype=torch.bool) if is_meta is None else is_meta.cpu()
        if is_meta.shape != users.shape:
            raise ValueError(
                f"is_meta has shape {tuple(is_meta.shape)} but there are {users.numel()} rows."
            )
        self.users, self.items, self.labels = users, items, labels
        self.batch_size, self.seed = batch_size, seed
        self.rank, self.world_size = rank, world_size
        self.drop_last, self.shuffle = drop_last, shuffle
        self._parts = [(~is_meta).nonzero().flatten().int(), is_meta.nonzero().flatten().int()]
        self._epoch = self._position = self._start = 0
        if not len(self):
            raise ValueError(
                f"{users.numel()} rows give no batch of {batch_size} rows on {world_size} "
                f"processes (drop_last is {drop_last}): add rows or lower batch_size."
            )

    def _num_batches(self, num_rows: int) -> int:
        """Batches of a part; a ragged one counts if every process gets a row of it."""
        full, rest = divmod(num_rows, self.batch_size * self.world_size)
        return full + (rest >= self.world_size and not self.drop_last)

    def __len__(self) -> int:
        """Returns the number of batches of a whole epoch."""
        return sum(self._num_batches(rows.numel()) for rows in self._parts)

    def _share(self, rows: Tensor, part: int) -> Tensor:
        """Returns this process's rows of a part in the order of the epoch."""
        if self.shuffle:
            generator = torch.Generator().manual_seed(mix_seed(self.seed, self._epoch, part))
            order = torch.randperm(rows.numel(), generator=generator, dtype=torch.int32)
            rows = rows.index_select(0, order)
        full, rest = divmod(rows.numel(), self.batch_size * self.world_size)
        body, tail = rows[: rows.numel() - rest], rows[rows.numel() - rest :]
        body = body.view(full, self.world_size, self.batch_size)[:, self.rank].flatten()
        share = rest // self.world_size
        return torch.cat([body, tail[self.rank * share : (self.rank + 1) * share]])

    def __iter__(self) -> Iterator[LabeledBatch]:
        """Yields the batches of the epoch, after a resume the remaining ones."""
        start, self._start = self._start, 0
        before = 0
        for part, rows in enumerate(self._parts):
            stop = before + self._num_batches(rows.numel())
            if start < stop:
                share = self._share(rows, part).to(self.users.device)
                columns = [c.index_select(0, share) for c in (self.users, self.items, self.labels)]
            for index in range(max(start, before), stop):
                self._position = index + 1
                yield self._batch(columns, index - before, index, part)
            before = stop

    def _batch(self, columns: list[Tensor], place: int, index: int, part: int) -> LabeledBatch:
        rows = slice(place * self.batch_size, (place + 1) * self.batch_size)
        return LabeledBatch(
            users=columns[0][rows].long(),
            items=columns[1][rows].long(),
            labels=columns[2][rows].float(),
            is_meta=bool(part),
            seed=batch_seed(self.seed, self._epoch, index, self.rank, part),
        )

    @property
    def sampler(self) -> "TrainLoader":
        """The loader itself: Lightning looks for ``set_epoch`` here."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Chooses the permutation of the next pass.

        Args:
            epoch: Epoch, counted from 0. Another epoch than that of a loaded state starts at its
                first batch.
        """
        if epoch != self._epoch:
            self._epoch, self._position, self._start = epoch, 0, 0

    @property
    def _layout(self) -> list[int]:
        """What a position counts in: rows of the parts, rows of a global batch, batches."""
        sizes = [rows.numel() for rows in self._parts]
        return [*sizes, self.batch_size * self.world_size, len(self)]

    def state_dict(self) -> dict[str, Any]:
        """Returns the epoch and how many of its batches were fetched."""
        return {"epoch": self._epoch, "position": self._position, "layout": self._layout}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Makes the next pass go on after the last fetched batch.

        A state at the end of an epoch starts a fresh pass. So does, with a warning, one of other
        batches: changed data, batch size or number of processes.

        Args:
            state: What :meth:`state_dict` returned.
        """
        self._epoch, position = state["epoch"], state["position"]
        if list(state["layout"]) != self._layout:
            rank_zero_warn(
                f"The checkpoint was written after batch {position} of epoch {self._epoch} with "
                "[supervised rows, meta rows, rows a global batch, batches] = "
                f"{list(state['layout'])}, now {self._layout}: the order of that epoch cannot be "
                "continued and starts anew. Keep data and batch_size * processes to resume exactly."
            )
            position = 0
        self._start = self._position = position % len(self)
